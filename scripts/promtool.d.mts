/** The path of Prometheus' promtool. Fetched out of Debian's package when it is not there. */
export function promtool(): Promise<string>;

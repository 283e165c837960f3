/** The directory of the CNI project's reference plugins: a CNI_PATH. Built from source when it is not there. */
export function referencePlugins(): Promise<string>;

/** The path of the CNI project's cnitool. Built from source when it is not there. */
export function cnitool(): Promise<string>;

/** The path of our own client of CRI, which the tests call containerd by. Built when it is not there. */
export function cri(): Promise<string>;

/** The directory with programs of a Go module, one for each package. */
export function goPrograms(name: string, module: string, packages: string[]): Promise<string>;

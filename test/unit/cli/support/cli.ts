import { main } from "../../../../src/cli/main.ts";

/** A call of podvpn, in this process. */
export async function cli(...args: string[]) {
  let [stdout, stderr] = ["", ""];
  const status = await main(args, {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
  });
  return { status, stdout, stderr };
}

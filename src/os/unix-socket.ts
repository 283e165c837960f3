import { Code, Fault } from "../fault.ts";

/** How long an answer may take. */
export interface RequestOptions {
  /** Milliseconds from the connection to the end of the answer. */
  readonly timeout: number;
}

/** What {@link requestSocket} fails with: the name of an errno, or ETIMEDOUT. */
export class SocketFault extends Fault {
  constructor(
    readonly errno: string,
    path: string,
    options?: ErrorOptions,
  ) {
    super(Code.io, `${path} does not answer (${errno})`, "see that the program that listens there runs", options);
  }
}

/**
 * One request and its answer over a stream socket of the file system: connects, writes, half-closes, and reads until the
 * other side closes.
 * @throws SocketFault ENOENT, ECONNREFUSED, ETIMEDOUT and the like.
 */
export async function requestSocket(path: string, request: string, { timeout }: RequestOptions): Promise<Buffer> {
  const { connect } = await import("node:net");
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ path, allowHalfOpen: true });
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      settle();
    };
    const answered = () => finish(() => resolve(Buffer.concat(chunks)));
    const failed = (errno: string, cause?: Error) => finish(() => reject(new SocketFault(errno, path, { cause })));
    const timer = setTimeout(failed, timeout, "ETIMEDOUT");
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.once("end", answered);
    socket.on("error", (error) => {
      // ECONNRESET after an answer: the other side did not want to read all of the request.
      if (chunks.length > 0) answered();
      else failed("code" in error ? String(error.code) : "EIO", error);
    });
    socket.end(request);
  });
}

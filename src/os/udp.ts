import { Code, Fault } from "../fault.ts";

/** A UDP socket on one address. It keeps no process alive by itself. Closed by `[Symbol.dispose]`. */
export interface UdpSocket extends Disposable {
  /** Sends, or does not: UDP promises no more. */
  send(bytes: Uint8Array, port: number, address: string): void;
}

/** Where a datagram came from. */
export interface UdpSource {
  readonly address: string;
  readonly port: number;
}

/** What {@link openUdp} fails with. `errno` is a name such as EADDRNOTAVAIL. */
export class UdpFault extends Fault {
  constructor(
    readonly errno: string,
    address: string,
    port: number,
    options?: ErrorOptions,
  ) {
    const remedy = REMEDIES[errno] ?? "see that the address is one of this node";
    super(Code.io, `UDP port ${port} of ${address} cannot be opened (${errno})`, remedy, options);
  }
}

const REMEDIES: Record<string, string | undefined> = {
  EADDRINUSE: "end the program that has it: `ss -ulpn` names it",
  EACCES: "run as root",
  EMFILE: "raise the limit of open files",
};

/**
 * Opens `port` of `address`. Each datagram of at most `limit` bytes is handed over; longer ones are none of ours.
 * @throws UdpFault.
 */
export async function openUdp(
  options: { readonly address: string; readonly port: number; readonly limit: number },
  onMessage: (bytes: Uint8Array, from: UdpSource) => void,
): Promise<UdpSocket> {
  const { address, port, limit } = options;
  const { createSocket } = await import("node:dgram");
  const family = address.includes(":") ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? "udp6" : "udp4",
    ipv6Only: family === 6,
    // All are addresses: asking getaddrinfo would cost a turn of the event loop for each datagram.
    lookup: (host, _options, callback) => callback(null, host, family),
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", (error) => {
      socket.close();
      reject(new UdpFault("code" in error ? String(error.code) : "EIO", address, port, { cause: error }));
    });
    socket.bind({ address, port, exclusive: true }, () => resolve());
  });
  socket.removeAllListeners("error");
  // ECONNREFUSED, ENETUNREACH and the like of an earlier datagram: it is lost, as any may be.
  socket.on("error", () => undefined);
  socket.on("message", (message, from) => {
    if (message.length <= limit) onMessage(message, from);
  });
  socket.unref();
  let open = true;
  return {
    send: (bytes, to, host) => {
      if (open) socket.send(bytes, to, host, ignored);
    },
    [Symbol.dispose]: () => {
      if (!open) return;
      open = false;
      socket.close();
    },
  };
}

/** With a callback, a failure is told to it and not to the listeners. */
function ignored(): void {}

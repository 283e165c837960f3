/** Milliseconds that a refusal gets to come back. */
const WAIT = 500;

/**
 * Sends a byte to a UDP port, and listens whether it is refused.
 * @returns "silent" where nothing was heard, as of a port that is open; else the name of the errno: ECONNREFUSED when
 * nobody listens there, EPERM when a firewall of this node does not let it out, EHOSTUNREACH and the like.
 */
export async function knock(address: string, port: number): Promise<string> {
  const { createSocket } = await import("node:dgram");
  const family = address.includes(":") ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? "udp6" : "udp4",
    lookup: (host, _options, callback) => callback(null, host, family),
  });
  try {
    return await new Promise<string>((resolve) => {
      const timer = setTimeout(resolve, WAIT, "silent");
      const failed = (error: Error | null) => {
        if (error === null) return;
        clearTimeout(timer);
        resolve("code" in error ? String(error.code) : "EIO");
      };
      socket.on("error", failed);
      socket.once("connect", () => socket.send(KEEPALIVE, failed));
      socket.connect(port, address); // only so does it hear of ICMP errors
    });
  } finally {
    socket.close();
  }
}

/** What keeps a NAT's mapping, and is ignored by IKE (RFC 3948 section 4) as by WireGuard. */
const KEEPALIVE = Uint8Array.of(0xff);

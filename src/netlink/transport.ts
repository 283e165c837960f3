import type { NetlinkError } from "./error.ts";

/** A datagram socket to the kernel. `open.ts` makes the real one; tests have one that fails as they wish. */
export interface Transport {
  /** Never throws; `failed` is called when the kernel did not take the datagram. */
  send(datagram: Uint8Array, failed: (error: NetlinkError) => void): void;
  /** @throws NetlinkError */
  join(group: number): void;
  leave(group: number): void;
  /** Whether the socket alone keeps the process alive. */
  keepAlive(yes: boolean): void;
  close(): void;
}

/** Where a {@link Transport} delivers; never from inside one of its own methods. */
export interface Inbox {
  /**
   * `multicast`: sent to a group, hence a notification even if it carries one of our sequence numbers.
   * @param isOwn Of a notification: this process has made the change itself.
   */
  datagram(bytes: Uint8Array, multicast: boolean, isOwn: boolean): void;
  failed(error: NetlinkError): void;
}

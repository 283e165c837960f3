import type { Netlink } from "../netlink/netlink.ts";
import { openRoute } from "../netlink/open.ts";

/** A driver's socket for links and routes, and its calls that change something: one after the other. */
export class DriverSocket implements AsyncDisposable {
  /** Opened when it is first needed. */
  #socket: Netlink | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** @throws NetlinkError. */
  get netlink(): Netlink {
    this.#socket ??= openRoute();
    return this.#socket;
  }

  /** Does `act` when all that was asked for before has been done, or has failed. @throws what `act` throws, NetlinkError. */
  exclusive<T>(act: (nl: Netlink) => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => act(this.netlink));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Closes it when everything that was asked for has been done. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    this.#socket?.close();
    this.#socket = undefined;
  }
}

import { Code, Fault } from "../fault.ts";
import { effect } from "../os/effect.ts";
import { requestSocket, SocketFault } from "../os/unix-socket.ts";
import type { Device, DeviceChange, DeviceState } from "./device.ts";
import type { PublicKey } from "./key.ts";
import { portTaken } from "./port.ts";
import { answerErrno, encodeSet, GET, parseGet } from "./uapi.ts";
import {
  ANSWER,
  findWireguardGo,
  logTail,
  silent,
  socketPath,
  startWireguardGo,
  type WireguardGoOptions,
} from "./wireguard-go.ts";

/** The device of a new wireguard-go. @throws as {@link startWireguardGo}. */
export async function createUserspace(options: WireguardGoOptions): Promise<Device> {
  await startWireguardGo(options);
  return new UserspaceDevice(options.directory, options.name);
}

/** The device of a wireguard-go of ours; undefined when none runs for it, or when it does not answer. */
export async function openUserspace(directory: string, name: string): Promise<Device | undefined> {
  using daemon = findWireguardGo(directory, name);
  if (daemon === undefined) return undefined;
  try {
    await requestSocket(socketPath(name), "", { timeout: ANSWER });
  } catch (error) {
    if (error instanceof SocketFault) return undefined;
    throw error;
  }
  return new UserspaceDevice(directory, name);
}

/** The device of a wireguard-go that is known to run. */
export function knownUserspace(directory: string, name: string): Device {
  return new UserspaceDevice(directory, name);
}

/** A device over its UAPI socket. Holds nothing open: each request has a connection of its own. */
class UserspaceDevice implements Device {
  readonly dataPlane = "userspace";
  readonly name: string;
  readonly #directory: string;

  constructor(directory: string, name: string) {
    this.#directory = directory;
    this.name = name;
  }

  async read(only?: ReadonlySet<PublicKey>): Promise<DeviceState> {
    return parseGet(await this.#request(GET), only);
  }

  async apply(change: DeviceChange): Promise<void> {
    const { listenPort } = change;
    const before = listenPort === undefined ? 0 : (await this.read()).listenPort;
    for (const operation of encodeSet(change)) {
      const errno = await this.#set(operation);
      if (errno === undefined) continue;
      if (errno !== "EADDRINUSE" || listenPort === undefined) throw this.#refused(errno);
      // It closes the socket that it has before it opens the new one.
      for (const back of encodeSet({ listenPort: before, peers: [] })) await this.#set(back);
      throw portTaken(listenPort);
    }
  }

  [Symbol.dispose](): void {
    // nothing is held
  }

  /** Name of the errno, or undefined. */
  async #set(operation: string): Promise<string | undefined> {
    const errno = answerErrno(await this.#request(operation));
    effect(`uapi set ${this.name}`);
    return errno;
  }

  async #request(request: string): Promise<string> {
    try {
      const answer = await requestSocket(socketPath(this.name), request, { timeout: ANSWER });
      return answer.toString("latin1");
    } catch (cause) {
      if (cause instanceof SocketFault) throw silent(this.#directory, this.name, cause);
      throw cause;
    }
  }

  #refused(errno: string): Fault {
    const what = `wireguard-go refuses a change of ${this.name} (${errno})`;
    return new Fault(Code.kernel, what, "see its last log lines", { details: logTail(this.#directory) });
  }
}

import { readdirSync, readlinkSync } from "node:fs";
import { loadAddon } from "./addon.ts";

/**
 * Sets NETLINK_NO_ENOBUFS on every netlink socket of this process: when notifications come faster than they are read,
 * the kernel drops some without an error on the socket. Needed before a socket joins a multicast group: the netlink
 * addon (0.3.0) ends the process (SIGABRT) when poll reports an error, and it neither has this option nor shows the
 * descriptor. That is why all sockets are asked; other kinds refuse the option and are left as they are.
 * @throws Error when no netlink socket took it.
 */
export function ignoreNetlinkOverruns(): void {
  const koffi = loadAddon("koffi") as KoffiAddon;
  setsockopt ??= koffi
    .load(null)
    .func("int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)") as Setsockopt;
  const on = Uint8Array.of(1, 0, 0, 0); // an int, little-endian
  const results = openSockets().map((fd) => setsockopt?.(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, on, on.length));
  if (!results.includes(0)) throw new Error("no netlink socket of this process takes NETLINK_NO_ENOBUFS");
}

function openSockets(): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
      } catch {
        return false; // the descriptor with which the directory was read
      }
    });
}

type Setsockopt = (fd: number, level: number, name: number, value: Uint8Array, length: number) => number;

/** What is used of koffi's raw addon. */
interface KoffiAddon {
  load(path: null): { func(prototype: string): unknown };
}

let setsockopt: Setsockopt | undefined;

/** linux/socket.h and linux/netlink.h */
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;

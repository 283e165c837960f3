// The package's raw layer only: its `rt` layer (260 KB of generated code) costs 14 to 20 ms at start, and its middle
// layer takes a notification in the middle of a dump for the dump's end and turns errnos into prose.
import { RawNetlinkSocket } from "netlink/dist/raw.js";
import { ignoreNetlinkOverruns } from "../os/netlink-overrun.ts";
import { NetlinkError } from "./error.ts";
import { portsOf } from "./message.ts";
import { Netlink } from "./netlink.ts";
import type { Inbox, Transport } from "./transport.ts";

/**
 * A socket to rtnetlink (links, addresses, routes, rules) in the network namespace that the thread is in now.
 * Synchronous, so that it can be called between two setns(2).
 * @throws NetlinkError
 */
export function openRoute(): Netlink {
  return new Netlink((inbox) => connect(NETLINK_ROUTE, inbox, "open an rtnetlink socket"));
}

/** The same for XFRM. @throws NetlinkError EPROTONOSUPPORT where the kernel has no XFRM (CONFIG_XFRM_USER). */
export function openXfrm(): Netlink {
  return new Netlink((inbox) => connect(NETLINK_XFRM, inbox, "open an XFRM socket"));
}

/** The same for netfilter: nf_tables. @throws NetlinkError EPROTONOSUPPORT where the kernel has none (CONFIG_NETFILTER_NETLINK). */
export function openNetfilter(): Netlink {
  return new Netlink((inbox) => connect(NETLINK_NETFILTER, inbox, "open a netfilter socket"));
}

/** The same for generic netlink: families that are found by name, such as WireGuard's. @throws NetlinkError */
export function openGeneric(): Netlink {
  return new Netlink((inbox) => connect(NETLINK_GENERIC, inbox, "open a generic netlink socket"));
}

const NETLINK_ROUTE = 0;
const NETLINK_XFRM = 6;
const NETLINK_NETFILTER = 12;
const NETLINK_GENERIC = 16;

/** Of this process's open sockets. The package never gives one to two of them, whatever their families. */
const ports = new Set<number>();

function connect(protocol: number, inbox: Inbox, operation: string): Transport {
  const socket = translated(operation, () => new RawNetlinkSocket(protocol));
  const { port } = translated(operation, () => socket.address());
  ports.add(port >>> 0); // the package gives it signed
  socket.on(
    "message",
    later((bytes, from) => {
      if (from.port !== 0) return; // not from the kernel
      const multicast = from.groups !== 0;
      inbox.datagram(bytes, multicast, multicast && [...portsOf(bytes)].every((one) => ports.has(one)));
    }),
  );
  socket.on(
    "error",
    later((error) => inbox.failed(translate(error, "read from the netlink socket"))),
  );
  return {
    send: (datagram, failed) =>
      socket.send(
        datagram,
        {},
        later((error) => {
          if (error !== undefined) failed(translate(error, "write to the netlink socket"));
        }),
      ),
    join: (group) =>
      translated(`join the netlink group ${group}`, () => {
        ignoreNetlinkOverruns();
        socket.addMembership(group);
      }),
    leave: (group) => translated(`leave the netlink group ${group}`, () => socket.dropMembership(group)),
    keepAlive: (yes) => (yes ? socket.ref() : socket.unref()),
    close: () => {
      ports.delete(port >>> 0);
      socket.close();
    },
  };
}

/**
 * `handle`, but after the addon's callback has returned: an exception that reaches the addon (0.3.0) aborts the process,
 * and closing the socket inside one of its callbacks can crash it. The poll phase is followed at once by setImmediate's.
 */
function later<A extends readonly unknown[]>(handle: (...args: A) => void): (...args: A) => void {
  return (...args) => {
    setImmediate(handle, ...args);
  };
}

function translated<T>(operation: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw translate(error, operation);
  }
}

/** The addon's errors carry a name such as "EPERM" in `code`. */
function translate(cause: unknown, operation: string): NetlinkError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "EIO";
  return new NetlinkError(code, operation, { cause });
}

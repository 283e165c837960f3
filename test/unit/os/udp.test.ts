import { describe, expect, test } from "vitest";
import { openUdp, type UdpSource } from "../../../src/os/udp.ts";

const PORT = 47_174;

/** A socket whose datagrams are waited for. */
async function listener(address: string, port: number) {
  const arrived: { bytes: Uint8Array; from: UdpSource }[] = [];
  let wake = () => {};
  const socket = await openUdp({ address, port, limit: 32 }, (bytes, from) => {
    arrived.push({ bytes, from });
    wake();
  });
  const next = async () => {
    // Its own timer keeps the process alive: the socket does not.
    const timer = setTimeout(() => undefined, 5000);
    while (arrived.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    clearTimeout(timer);
    return arrived.shift();
  };
  return { socket, next, arrived, [Symbol.dispose]: () => socket[Symbol.dispose]() };
}

describe.each(["127.0.0.1", "::1"])("a UDP socket on %s", (address) => {
  test("sends and receives, and hands over nothing that is too long", async () => {
    using one = await listener(address, PORT);
    using other = await listener(address, PORT + 1);
    one.socket.send(new Uint8Array(33), PORT + 1, address);
    one.socket.send(Uint8Array.of(1, 2, 3), PORT + 1, address);
    const got = await other.next();
    expect([...(got?.bytes ?? [])]).toEqual([1, 2, 3]);
    expect(got?.from).toMatchObject({ address, port: PORT });
    expect(other.arrived).toEqual([]);
  });

  test("names what keeps it from being opened", async () => {
    using _one = await listener(address, PORT);
    await expect(openUdp({ address, port: PORT, limit: 32 }, () => undefined)).rejects.toMatchObject({
      errno: "EADDRINUSE",
      what: `UDP port ${PORT} of ${address} cannot be opened (EADDRINUSE)`,
    });
  });

  test("takes what cannot be sent for lost, and nothing once it is closed", async () => {
    using one = await listener(address, PORT);
    one.socket.send(Uint8Array.of(1), PORT + 2, address); // nobody is there
    one.socket.send(Uint8Array.of(2), PORT, address);
    expect([...((await one.next())?.bytes ?? [])]).toEqual([2]);
    one.socket[Symbol.dispose]();
    one.socket.send(Uint8Array.of(3), PORT, address);
  });
});

test("an address that is not there yet is told by its errno", async () => {
  await expect(openUdp({ address: "192.0.2.77", port: PORT, limit: 32 }, () => undefined)).rejects.toMatchObject({
    errno: "EADDRNOTAVAIL",
  });
});

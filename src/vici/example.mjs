// What a charon has loaded and what is up. With --follow: tunnels as they come and go, until Ctrl-C.
//   node example.mjs [/run/charon.vici] [--follow]
import { connect, readIkeSas, ViciError } from "vici";

const follow = process.argv.includes("--follow");
const path = process.argv.slice(2).find((argument) => argument !== "--follow") ?? "/run/charon.vici";

async function main() {
  const vici = await connect({ path });
  try {
    const { daemon, version, release } = await vici.version();
    console.log(`${daemon} ${version} on Linux ${release}`);

    for await (const conn of vici.listConns()) {
      const children = conn.children.map(({ name }) => name).join(", ");
      console.log(`connection ${conn.name} to ${conn.remoteAddrs.join(", ")}: ${children}`);
    }

    let count = 0;
    for await (const sa of vici.listSas()) {
      count += 1;
      console.log(`${sa.name} #${sa.uniqueid} ${sa.state} with ${sa.remoteId} at ${sa.remoteHost}`);
      for (const child of sa.childSas) {
        console.log(`  ${child.name} ${child.state}, ${child.bytesIn} bytes in, ${child.bytesOut} out`);
      }
    }
    if (count === 0) console.log("no SAs");

    if (!follow) return;
    const stop = new AbortController();
    process.once("SIGINT", () => stop.abort());
    for await (const { message } of await vici.subscribe(["ike-updown"], { signal: stop.signal })) {
      for (const sa of readIkeSas(message)) {
        console.log(`${sa.name} with ${sa.remoteId} is ${message.text("up") === "yes" ? "up" : "down"}`);
      }
    }
  } finally {
    vici.close();
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof ViciError)) throw error;
  if (error.code !== "ABORTED") {
    console.error(error.message);
    process.exitCode = 1;
  }
}

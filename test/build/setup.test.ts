import { describe, expect, test } from "vitest";
import { call, ROOT } from "./support/executable.ts";

const node = `${ROOT}/node_modules/.bin/node`;
const SETUP = `${node} --input-type=module --eval`;

/** Runs the set-up in a mount namespace prepared by `prepare`, as the machine's owner would meet it. */
function setup(need: readonly string[], { prepare = ":", as = "", path = "/usr/sbin:/usr/bin:/sbin:/bin" } = {}) {
  const program = `import { setup } from "${ROOT}/scripts/setup.mjs"; import { script } from "${ROOT}/scripts/run.mjs";
    await script(() => setup({ need: ${JSON.stringify(need)} }));`;
  const args = ["--mount", "--propagation", "private", "sh", "-euc"];
  return call("/usr/bin/unshare", [...args, `${prepare}; PATH=${path}; exec ${as} ${SETUP} '${program}'`], {
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  });
}

const NO_DPKG = "/nonexistent";

describe("the set-up", () => {
  test("is silent and quick when nothing is missing", () => {
    expect(setup(["build"])).toMatchObject({ status: 0 });
    const start = performance.now();
    expect(setup(["root", "apt", "test", "npm", "build"])).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test("says in one sentence that root is needed", () => {
    const as = "/usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups";
    const { status, stderr } = setup(["root"], { as });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: "Network namespaces need root: run the same command as root.\n",
    });
  });

  test("says in one sentence that this is not Debian, and which packages to look for", () => {
    const prepare =
      "echo ID=plan9 >/tmp/podvpn-os-release; mount -n --bind /tmp/podvpn-os-release /etc/os-release; rm /tmp/podvpn-os-release";
    const { status, stderr } = setup(["apt"], { prepare, path: NO_DPKG });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^This is not Debian: .*charon-systemd.*\n$/);
  });

  test("says in one sentence who can install what is missing", () => {
    const as = "/usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups";
    const { status, stderr } = setup(["apt"], { as, path: NO_DPKG });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^Run the same command as root once, so that apt can install .*tcpdump.*\n$/);
  });
});

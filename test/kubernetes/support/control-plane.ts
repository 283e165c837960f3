import { generateKeyPairSync, randomBytes } from "node:crypto";
import type { Node } from "../../../src/testbed/node.ts";
import { Daemon } from "./daemon.ts";
import { Kubectl } from "./kubectl.ts";

const DIRECTORY = "/etc/kubernetes";
const CERTIFICATE = "/run/kubernetes/apiserver.crt";
const PORT = 6443;

/** Who may speak to the API server, as it knows them by their tokens: the users of its own default roles. */
interface User {
  readonly name: string;
  readonly groups: string;
}

const ADMINISTRATOR: User = { name: "admin", groups: "system:masters" };
const CONTROLLER_MANAGER: User = { name: "system:kube-controller-manager", groups: "" };
const SCHEDULER: User = { name: "system:kube-scheduler", groups: "" };
const kubelet = (node: string): User => ({ name: `system:node:${node}`, groups: "system:nodes" });

/** etcd, API server, controller manager and scheduler on one node, that runs no pods. */
export class ControlPlane {
  private constructor(
    readonly kubectl: Kubectl,
    private readonly server: string,
    private readonly certificate: string,
    private readonly tokens: ReadonlyMap<string, string>,
  ) {}

  /**
   * Returns when the API server is ready.
   * @param programs Directory with the built programs. @param workers Names of the nodes that are to join.
   */
  static async start(node: Node, programs: string, workers: readonly string[]): Promise<ControlPlane> {
    const users = [ADMINISTRATOR, CONTROLLER_MANAGER, SCHEDULER, ...workers.map(kubelet)];
    const tokens = new Map(users.map(({ name }) => [name, randomBytes(16).toString("hex")]));
    await node.writeFile(`${DIRECTORY}/tokens.csv`, users.map((user) => tokenLine(user, tokens)).join(""), 0o600);
    await node.writeFile(`${DIRECTORY}/service-accounts.key`, newKey(), 0o600);
    await node.exec(["mkdir", "-p", "/run/kubernetes"]);
    Daemon.start(node, "etcd", { argv: ETCD });
    const apiserver = Daemon.start(node, "kube-apiserver", { argv: apiserverArgv(programs, node.address()) });
    await apiserver.serving(
      90_000,
      async () => (await node.exec(["test", "-s", CERTIFICATE], { check: false })).code === 0,
    );
    const kubectl = new Kubectl(node, `${programs}/kubectl`, `${DIRECTORY}/admin.conf`);
    const server = `https://${node.address()}:${PORT}`;
    const plane = new ControlPlane(kubectl, server, await node.readFile(CERTIFICATE), tokens);
    await node.writeFile(`${DIRECTORY}/admin.conf`, plane.kubeconfig(ADMINISTRATOR.name), 0o600);
    await apiserver.serving(90_000, async () => (await kubectl.try("get", "--raw=/readyz")).stdout === "ok");
    for (const [program, user, options] of [
      ["kube-controller-manager", CONTROLLER_MANAGER, ["--use-service-account-credentials"]],
      ["kube-scheduler", SCHEDULER, []],
    ] as const) {
      const file = `${DIRECTORY}/${program}.conf`;
      await node.writeFile(file, plane.kubeconfig(user.name), 0o600);
      const argv = [
        `${programs}/${program}`,
        `--kubeconfig=${file}`,
        "--leader-elect=false",
        "--secure-port=0",
      ] as const;
      Daemon.start(node, program, { argv: [...argv, ...options] });
    }
    return plane;
  }

  /** The kubeconfig of a worker's kubelet. */
  kubeletConfig(worker: string): string {
    return this.kubeconfig(kubelet(worker).name);
  }

  private kubeconfig(user: string): string {
    const data = Buffer.from(this.certificate).toString("base64");
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "podvpn", cluster: { server: this.server, "certificate-authority-data": data } }],
      users: [{ name: "user", user: { token: this.tokens.get(user) } }],
      contexts: [{ name: "podvpn", context: { cluster: "podvpn", user: "user" } }],
      "current-context": "podvpn",
    });
  }
}

/** Its data in memory, and not waited for: it does not outlive the test. */
const ETCD = ["/usr/bin/etcd", "--data-dir=/run/etcd", "--unsafe-no-fsync", "--log-level=warn"] as const;

function apiserverArgv(programs: string, address: string): [string, ...string[]] {
  return [
    `${programs}/kube-apiserver`,
    "--etcd-servers=http://127.0.0.1:2379",
    `--advertise-address=${address}`,
    `--secure-port=${PORT}`,
    "--cert-dir=/run/kubernetes", // it signs its own certificate
    `--token-auth-file=${DIRECTORY}/tokens.csv`,
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    "--service-cluster-ip-range=10.96.0.0/16",
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${DIRECTORY}/service-accounts.key`,
    `--service-account-signing-key-file=${DIRECTORY}/service-accounts.key`,
    "--kubelet-preferred-address-types=InternalIP",
    "--endpoint-reconciler-type=none", // nobody uses the Service `kubernetes`
  ];
}

function tokenLine({ name, groups }: User, tokens: ReadonlyMap<string, string>): string {
  return `${tokens.get(name)},${name},${name},"${groups}"\n`;
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

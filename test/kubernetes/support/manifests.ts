import { IMAGE } from "./image.ts";
import type { Manifest } from "./kubectl.ts";

/** Where the pods serve their page. */
export const PORT = 8080;

/** A page that says which pod answers, behind words that a capture can be searched for. */
export const PAGE = "a page that nobody but its reader should see, served by";

/** Serves the page; without it, the server goes on and answers 404. */
const SERVE = `mkdir -p /tmp/www; echo "${PAGE} $POD" >/tmp/www/index.html; exec busybox httpd -f -p ${PORT} -h /tmp/www`;

const probe = { httpGet: { path: "/", port: PORT }, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 3 };
const socketProbe = { tcpSocket: { port: PORT }, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 30 };

/** A container with a web server that all kinds of probes look at. */
const podSpec = {
  automountServiceAccountToken: false,
  dnsPolicy: "Default",
  enableServiceLinks: false,
  terminationGracePeriodSeconds: 1,
  containers: [
    {
      name: "web",
      image: IMAGE,
      imagePullPolicy: "Never",
      command: ["/bin/busybox", "sh", "-ec", SERVE],
      env: [{ name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
      startupProbe: socketProbe,
      readinessProbe: probe,
      livenessProbe: probe,
    },
  ],
};

/** Web servers, each on a node of its own. */
export function deployment(name: string, replicas: number): Manifest {
  const labels = { app: name };
  const elsewhere = { labelSelector: { matchLabels: labels }, topologyKey: "kubernetes.io/hostname" };
  const affinity = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [elsewhere] } };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { ...podSpec, affinity } },
    },
  };
}

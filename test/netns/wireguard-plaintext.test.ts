import { wireguardPlaintextSuite } from "./support/wireguard-plaintext-suite.ts";

wireguardPlaintextSuite("userspace");

import { wireguardPlaintextSuite } from "../../netns/support/wireguard-plaintext-suite.ts";

wireguardPlaintextSuite("kernel");

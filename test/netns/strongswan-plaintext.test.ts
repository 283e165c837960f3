import { strongswanPlaintextSuite } from "./support/strongswan-plaintext-suite.ts";

strongswanPlaintextSuite("userspace");

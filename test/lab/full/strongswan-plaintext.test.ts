import { strongswanPlaintextSuite } from "../../netns/support/strongswan-plaintext-suite.ts";

strongswanPlaintextSuite("kernel");

export { eventually } from "../../../src/testbed/eventually.ts";

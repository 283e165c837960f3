import type { Show } from "../show.ts";
import { kinds } from "./kind.ts";
import { tellMesh } from "./mesh.ts";

/** The same story for each driver. */
export const meshes: readonly Show[] = kinds.map((kind) => ({
  name: "mesh",
  id: `mesh-${kind.driver}`,
  isShared: true,
  tell: (say, testbed, options) => tellMesh(say, kind, testbed, options),
}));

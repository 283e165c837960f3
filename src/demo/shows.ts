import { meshes } from "./mesh/meshes.ts";
import { modes } from "./modes.ts";
import { pluginShow } from "./plugin.ts";
import type { Show } from "./show.ts";

const plugins: readonly Show[] = modes.map(pluginShow);

/** All that can be shown, in this order. */
export const shows: readonly Show[] = [...plugins, ...meshes];

/** What they are asked for by. */
export const names: readonly string[] = [...new Set(shows.map(({ name }) => name))];

/** Those that are shown to whoever asks for none: the plugins, in under a minute. */
export const defaultShows: readonly Show[] = plugins;

/** The directory with the programs of Kubernetes. @throws when they are not built. */
export function builtPrograms(): string;

/** Removes the control groups of this name, which no process may have any more, from all hierarchies. */
export function removeCgroup(name: string): void;

/**
 * Tells when something changed in the zones folder or a database: changes are gathered until it has been quiet for a
 * while. What changed, and whether the content did, is for the loader to find out.
 */

export interface Watcher {
  stop(): Promise<void>
}

/** `paths`: files and folders; they may come, go and be replaced (also by the link swap of Kubernetes volumes). */
export async function watchPaths(_paths: readonly string[], _changed: () => void, _quietMs = 500): Promise<Watcher> {
  throw new Error('not yet')
}

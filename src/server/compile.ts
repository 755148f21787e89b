/**
 * The compile thread, seen from the main thread: a worker at nice 15 that owns the builder and everything it has parsed.
 * It hands out Worlds over pooled shared memory, small tables and Problems, never a model.
 */
import type { BuildSettings, Built } from '../answer/build.ts'
import type { Adoption } from './pool.ts'

export interface Compiler {
  /**
   * Compiles what is on disk now. Worlds come numbered: generation 1, 2, …, also over a restart of the thread.
   * Calls while one is running share the build after it. Rejects when the thread dies (a bug): the old World goes on,
   * the next call has a new thread.
   */
  build(): Promise<Built>
  stop(): Promise<void>
}

export function startCompiler(_settings: BuildSettings, _adoption: Adoption): Compiler {
  throw new Error('not yet')
}

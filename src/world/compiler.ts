/**
 * The compile thread, seen from the main thread: a worker at nice 15 that owns the builder and everything it has parsed.
 * It hands out Worlds over pooled shared memory, small tables and Problems, never a model.
 */
import { extname } from 'node:path'
import type { Adoption } from '../answer/adoption.ts'
import { startThread, type Thread } from '../linux/worker.ts'
import type { BuildOrder, BuildResult, BuildSettings, ProbeTargets, WorldBuild } from './build.ts'
import type { CompileJob, FromCompileThread } from './compiler-thread.ts'
import type { ZoneSettings } from './zones.ts'

export interface Compiler<T> {
  /**
   * Builds what is on disk now. Worlds come numbered: generation 1, 2, …, also over a restart of the thread.
   * Calls while one is running share the build after it, which goes by the order of the last of them. Rejects when the thread
   * dies (a bug, no memory), or takes longer than it may, which ends it: the old World goes on, the next call has a new thread.
   */
  build(order?: BuildOrder): Promise<BuildResult<T>>
  /** Also in the middle of a build: that one rejects. */
  stop(): Promise<void>
}

/**
 * A million names take 25 s, the largest database 12 s, git's lock and files that change 90 s together: beyond this, at nice 15
 * on a busy host too, a load has met a fault of ours and will not end.
 */
const MOST_MS = 600_000

/** What a compiler tells besides what it builds. */
export interface CompilerNews {
  /** What a build waits for, in words. */
  readonly waits?: (news: string) => void
  /** Why the zones of a build can't be kept for the next start; undefined: they are. */
  readonly kept?: (trouble: string | undefined) => void
}

/** Of Worlds. */
export function startCompiler(
  settings: BuildSettings,
  adoption: Adoption,
  news: CompilerNews = {},
): Compiler<WorldBuild> {
  let generation = 0
  const sees = (result: BuildResult<WorldBuild>): void => {
    if (result.kind === 'made') generation = result.made.world.generation
  }
  return start(() => ({ of: 'worlds', settings, adoption, generation }), sees, news)
}

/** Of a prober's targets. */
export const startTargetCompiler = (settings: ZoneSettings, news: CompilerNews = {}): Compiler<ProbeTargets> =>
  start(
    () => ({ of: 'targets', settings }),
    () => {},
    news,
  )

/** `job`: of a thread that starts now. `sees` every result before it is given out. */
function start<T>(
  job: () => CompileJob,
  sees: (result: BuildResult<T>) => void,
  { waits = () => {}, kept = () => {} }: CompilerNews,
): Compiler<T> {
  let worker: Thread | undefined
  let running: Promise<BuildResult<T>> | undefined
  let next: Promise<BuildResult<T>> | undefined
  let nextOrder: BuildOrder = {}
  let stopped = false

  function startWorker(): Thread {
    const entry = new URL(`./compiler-thread${extname(import.meta.url)}`, import.meta.url)
    const started = startThread(entry, { name: 'compile', workerData: job() })
    let cause: unknown = 'it ended'
    started.on('error', (error) => (cause = error)) // told by the build that it broke, if it broke one
    started.on('message', (message: FromCompileThread<T>) => {
      if ('news' in message) waits(message.news)
      else if ('keepTrouble' in message) kept(message.keepTrouble ?? undefined)
    })
    started.once('exit', () => {
      if (worker !== started) return
      worker = undefined
      if (running === undefined && !stopped)
        kept(
          `the compile thread died behind a load, and may not have kept its zones for the next start: ${String(cause)}`,
        )
    })
    return started
  }

  function run(order: BuildOrder): Promise<BuildResult<T>> {
    if (stopped) return Promise.reject(new Error('the compiler has been stopped'))
    const asked = (worker ??= startWorker())
    return new Promise<BuildResult<T>>((resolve, reject) => {
      let cause: unknown = 'it ended'
      const onError = (error: unknown): void => void (cause = error)
      const onExit = (): void => settle(() => reject(new Error(`the compile thread died: ${String(cause)}`, { cause })))
      const onMessage = (message: FromCompileThread<T>): void => {
        if (!('result' in message)) return
        const { result } = message
        sees(result)
        settle(() => resolve(result))
      }
      const late = setTimeout(() => {
        settle(() => reject(new Error(`the load took longer than ${MOST_MS / 1000} s and was ended`)))
        if (worker === asked) worker = undefined
        void asked.terminate()
      }, MOST_MS)
      const settle = (how: () => void): void => {
        clearTimeout(late)
        asked.off('error', onError)
        asked.off('exit', onExit)
        asked.off('message', onMessage)
        how()
      }
      asked.on('error', onError)
      asked.on('exit', onExit)
      asked.on('message', onMessage)
      asked.postMessage(order)
    })
  }

  function begin(order: BuildOrder): Promise<BuildResult<T>> {
    const build = run(order).finally(() => {
      if (running === build) running = undefined
    })
    running = build
    return build
  }

  return {
    build(order = {}) {
      if (running === undefined) return begin(order)
      nextOrder = order
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = undefined
          return begin(nextOrder)
        })
      return next
    },
    async stop() {
      stopped = true
      await worker?.terminate()
    },
  }
}

/**
 * The compile thread, seen from the main thread: a worker at nice 15 that owns the builder and everything it has parsed.
 * It hands out Worlds over pooled shared memory, small tables and Problems, never a model.
 */
import type { Adoption } from '../answer/adoption.ts'
import { entryBeside, startThread, type Thread } from '../linux/worker.ts'
import type { BuildRequest, BuildResult, BuildSettings, ProbeTargets, WorldBuild } from './build.ts'
import type { CompileJob, CompileThreadMessage } from './compiler-thread.ts'
import type { ZoneSettings } from './zones.ts'

export interface Compiler<T> {
  /**
   * Builds what is on disk now. Worlds come numbered: generation 1, 2, …, also over a restart of the thread.
   * Calls while one is running share the build after it, which goes by the order of the last of them. Rejects when the thread
   * dies (a bug, no memory), or takes longer than it may, which ends it: the old World goes on, the next call has a new thread.
   */
  build(request?: BuildRequest): Promise<BuildResult<T>>
  /** Also in the middle of a build: that one rejects. */
  stop(): Promise<void>
}

/**
 * A million names take 25 s, the largest database 12 s, git's lock and files that change 90 s together: beyond this, at nice 15
 * on a busy host too, a load has met a fault of ours and will not end.
 */
const MOST_MS = 600_000

/** What a compiler tells besides what it builds. */
export interface CompilerCallbacks {
  /** What a build waits for, in words. */
  readonly onWait?: (news: string) => void
  /** Why the zones of a build can't be kept for the next start; undefined: they are. */
  readonly onSaved?: (trouble: string | undefined) => void
}

/** Of Worlds. */
export function startCompiler(
  settings: BuildSettings,
  adoption: Adoption,
  news: CompilerCallbacks = {},
): Compiler<WorldBuild> {
  let generation = 0
  const onResult = (result: BuildResult<WorldBuild>): void => {
    if (result.kind === 'made') generation = result.made.world.generation
  }
  return start(() => ({ of: 'worlds', settings, adoption, generation }), onResult, news)
}

/** Of a prober's targets. */
export const startTargetCompiler = (settings: ZoneSettings, news: CompilerCallbacks = {}): Compiler<ProbeTargets> =>
  start(
    () => ({ of: 'targets', settings }),
    () => {},
    news,
  )

/** `job`: of a thread that starts now. `onResult` every result before it is given out. */
function start<T>(
  job: () => CompileJob,
  onResult: (result: BuildResult<T>) => void,
  { onWait = () => {}, onSaved = () => {} }: CompilerCallbacks,
): Compiler<T> {
  let worker: Thread | undefined
  let running: Promise<BuildResult<T>> | undefined
  let next: Promise<BuildResult<T>> | undefined
  let nextRequest: BuildRequest = {}
  let stopped = false

  function startWorker(): Thread {
    const started = startThread(entryBeside(import.meta.url, 'compiler-thread'), { name: 'compile', workerData: job() })
    let cause: unknown = 'it ended'
    started.on('error', (error) => (cause = error)) // told by the build that it broke, if it broke one
    started.on('message', (message: CompileThreadMessage<T>) => {
      if ('news' in message) onWait(message.news)
      else if ('saveTrouble' in message) onSaved(message.saveTrouble ?? undefined)
    })
    started.once('exit', () => {
      if (worker !== started) return
      worker = undefined
      if (running === undefined && !stopped)
        onSaved(
          `the compile thread died behind a load, and may not have kept its zones for the next start: ${String(cause)}`,
        )
    })
    return started
  }

  function run(request: BuildRequest): Promise<BuildResult<T>> {
    if (stopped) return Promise.reject(new Error('the compiler has been stopped'))
    const thread = (worker ??= startWorker())
    return new Promise<BuildResult<T>>((resolve, reject) => {
      let cause: unknown = 'it ended'
      const onError = (error: unknown): void => void (cause = error)
      const onExit = (): void => settle(() => reject(new Error(`the compile thread died: ${String(cause)}`, { cause })))
      const onMessage = (message: CompileThreadMessage<T>): void => {
        if (!('result' in message)) return
        const { result } = message
        onResult(result)
        settle(() => resolve(result))
      }
      const late = setTimeout(() => {
        settle(() => reject(new Error(`the load took longer than ${MOST_MS / 1000} s and was ended`)))
        if (worker === thread) worker = undefined
        void thread.terminate()
      }, MOST_MS)
      const settle = (how: () => void): void => {
        clearTimeout(late)
        thread.off('error', onError)
        thread.off('exit', onExit)
        thread.off('message', onMessage)
        how()
      }
      thread.on('error', onError)
      thread.on('exit', onExit)
      thread.on('message', onMessage)
      thread.postMessage(request)
    })
  }

  function begin(request: BuildRequest): Promise<BuildResult<T>> {
    const build = run(request).finally(() => {
      if (running === build) running = undefined
    })
    running = build
    return build
  }

  return {
    build(request = {}) {
      if (running === undefined) return begin(request)
      nextRequest = request
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = undefined
          return begin(nextRequest)
        })
      return next
    },
    async stop() {
      stopped = true
      await worker?.terminate()
    },
  }
}

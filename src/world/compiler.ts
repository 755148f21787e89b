/**
 * The compile thread, seen from the main thread: a worker at nice 15 that owns the builder and everything it has
 * parsed. It hands out Worlds in pooled shared memory, small tables and Problems, never a model. Called by Reloader. A
 * thread that dies or takes too long is a failed build; the next build starts a new thread.
 */
import type { Adoption } from '../answer/adoption.ts'
import { entryBeside, startThread, type Thread } from '../linux/worker.ts'
import type { BuildRequest, BuildResult, BuildSettings, ProbeTargets, WorldBuild } from './build.ts'
import type { CompileJob, CompileThreadMessage } from './compiler-thread.ts'
import type { ZoneSettings } from './zones.ts'

/** Builds in a thread of its own. T is WorldBuild in a node and ProbeTargets in a prober. */
export interface Compiler<T> {
  /**
   * Builds what is on disk now. Worlds are numbered 1, 2, …, also after a restart of the thread. Calls during a build
   * share the next one, with the request of the last call. Rejects when the thread dies (a bug, no memory) or exceeds
   * its time, which ends it; the next call starts a new thread.
   */
  build(request?: BuildRequest): Promise<BuildResult<T>>
  /** Ends the thread. A build that is running rejects. */
  stop(): Promise<void>
}

/**
 * The longest a build may take. A million names take 25 s, the largest database 12 s, waiting for git and for files at
 * rest 90 s. A build beyond this limit has met a bug and will not end, even at nice 15 on a busy host.
 */
const MOST_MS = 600_000

/** Called with what a compiler has to say besides its results. */
export interface CompilerCallbacks {
  /** A build waits: for what, in words. */
  readonly onWait?: (news: string) => void
  /** The zones of a build were saved for the next start (undefined), or why not. */
  readonly onSaved?: (trouble: string | undefined) => void
}

/** Starts a compiler of Worlds, for a node. */
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

/** Starts a compiler of targets, for a prober. */
export const startTargetCompiler = (settings: ZoneSettings, news: CompilerCallbacks = {}): Compiler<ProbeTargets> =>
  start(
    () => ({ of: 'targets', settings }),
    () => {},
    news,
  )

/** `job`: makes the workerData of a new thread. `onResult`: called with each result before the caller gets it. */
function start<T>(
  job: () => CompileJob,
  onResult: (result: BuildResult<T>) => void,
  { onWait = () => {}, onSaved = () => {} }: CompilerCallbacks,
): Compiler<T> {
  let worker: Thread | undefined
  /** Resolves when `worker` may be terminated: it has loaded its code, koffi too (linux/libc.ts), or has ended. */
  let loaded: Promise<void> | undefined
  let running: Promise<BuildResult<T>> | undefined
  let next: Promise<BuildResult<T>> | undefined
  let nextRequest: BuildRequest = {}
  let stopped = false

  function startWorker(): Thread {
    const started = startThread(entryBeside(import.meta.url, 'compiler-thread'), { name: 'compile', workerData: job() })
    let cause: unknown = 'it ended'
    const { promise, resolve } = Promise.withResolvers<void>()
    loaded = promise
    started.on('error', (error) => (cause = error)) // if a build is running, its promise rejects with the error
    started.on('message', (message: CompileThreadMessage<T>) => {
      if ('news' in message) onWait(message.news)
      else if ('saveTrouble' in message) onSaved(message.saveTrouble ?? undefined)
      else if ('loaded' in message) resolve()
    })
    started.once('exit', () => {
      resolve()
      if (worker !== started) return
      worker = undefined
      if (running === undefined && !stopped)
        onSaved(`the compile thread died after a load: its zones may not be saved for the next start: ${String(cause)}`)
    })
    return started
  }

  function run(request: BuildRequest): Promise<BuildResult<T>> {
    if (stopped) return Promise.reject(new Error('the compiler has been stopped'))
    const thread = (worker ??= startWorker())
    const mayEnd = loaded
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
        void mayEnd?.then(() => thread.terminate())
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
      await loaded
      await worker?.terminate()
    },
  }
}

/**
 * Entry of the compile thread: builds on request, numbers the Worlds, and takes their memory from the pool. Started by
 * compiler.ts, which is its only caller. It runs at nice 15, so that a load never delays answers or checks. A bug ends
 * the thread with all that it keeps; the next build starts a new one.
 */
import { access } from 'node:fs/promises'
import { getPriority, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import type { Adoption } from '../answer/adoption.ts'
import { loadHugePages } from '../linux/huge-pages.ts'
import {
  type Builder,
  type BuildRequest,
  type BuildResult,
  type BuildSettings,
  makeBuilder,
  makeTargetBuilder,
  type ProbeTargets,
  type WorldBuild,
} from './build.ts'
import { makePool } from './pool.ts'
import type { ZoneSettings } from './zones.ts'

/** What a thread builds, and from which settings: its workerData. */
export type CompileJob = WorldJob | { readonly of: 'targets'; readonly settings: ZoneSettings }

interface WorldJob {
  readonly of: 'worlds'
  readonly settings: BuildSettings
  readonly adoption: Adoption
  /** The generation of the last World; the next one is one higher. */
  readonly generation: number
}

/**
 * What the thread sends: that it has loaded its code, how a build ended, what a build waits for, or why the zones could
 * not be saved for the next start (null: they were saved).
 */
export type CompileThreadMessage<T> =
  | { readonly loaded: true }
  | { readonly result: BuildResult<T> }
  | { readonly news: string }
  | { readonly saveTrouble: string | null }

const job: CompileJob = workerData
const port = parentPort!

/**
 * On Linux each thread has a priority and setPriority() changes the calling thread; elsewhere it would change the
 * process. New threads inherit it, so a first file access starts libuv's shared threads before.
 */
const NICE = 15
await access(job.settings.zones).catch(() => {})
if (process.platform === 'linux') setPriority(Math.max(NICE, getPriority()))

const builder = job.of === 'worlds' ? await makeNumberingBuilder(job) : makeTargetBuilder(job.settings)

/** Builds, then saves the zones for the next start. A bug rejects and ends this thread. */
async function build(request: BuildRequest): Promise<void> {
  post({ result: await builder.build(request, (news) => post({ news })) })
  // only now: the main thread waits for the result
  post({ saveTrouble: builder.saveLastGood() ?? null })
}

/** Makes a builder that numbers its Worlds and allocates them from the pool. */
async function makeNumberingBuilder({ settings, adoption, generation: last }: WorldJob): Promise<Builder<WorldBuild>> {
  const pool = makePool(adoption, await loadHugePages())
  const worlds = makeBuilder(settings, pool.allocate)
  let generation = last
  return {
    ...worlds,
    async build(request, tell) {
      const result = await worlds.build(request, tell)
      if (result.kind !== 'made') {
        pool.seal(undefined)
        return result
      }
      generation++
      const world = { ...result.made.world, generation }
      pool.seal(world)
      return { ...result, made: { ...result.made, world } }
    },
  }
}

const post = (message: CompileThreadMessage<WorldBuild | ProbeTargets>): void => port.postMessage(message)

post({ loaded: true })
port.on('message', (request: BuildRequest) => void build(request))

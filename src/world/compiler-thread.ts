/** Entry of the compile thread: builds when asked, numbers the Worlds, and takes their memory from the pool. */
import { access } from 'node:fs/promises'
import { getPriority, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import type { Adoption } from '../answer/adoption.ts'
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

/** What a thread builds: its workerData. */
export type CompileJob = WorldJob | { readonly of: 'targets'; readonly settings: ZoneSettings }

interface WorldJob {
  readonly of: 'worlds'
  readonly settings: BuildSettings
  readonly adoption: Adoption
  /** The last World's: the next has one more. */
  readonly generation: number
}

/** What it says: how a build ended, what one waits for, or why its zones can't be kept for the next start (null: they are). */
export type CompileThreadMessage<T> =
  | { readonly result: BuildResult<T> }
  | { readonly news: string }
  | { readonly saveTrouble: string | null }

const job: CompileJob = workerData
const port = parentPort!

/**
 * Linux has a priority for each thread, and setPriority's 0 is the calling one; elsewhere it would be the process. New
 * threads inherit it: libuv's, which are everybody's, are there after a first use.
 */
const NICE = 15
await access(job.settings.zones).catch(() => {})
if (process.platform === 'linux') setPriority(Math.max(NICE, getPriority()))

const builder = job.of === 'worlds' ? makeNumberingBuilder(job) : makeTargetBuilder(job.settings)

/** A bug ends this thread with all that it keeps: the next build starts from nothing. */
async function build(request: BuildRequest): Promise<void> {
  post({ result: await builder.build(request, (news) => post({ news })) })
  // behind what waits for it
  post({ saveTrouble: builder.saveLastGood() ?? null })
}

/** Of Worlds that have their numbers, in memory of the pool. */
function makeNumberingBuilder({ settings, adoption, generation: last }: WorldJob): Builder<WorldBuild> {
  const pool = makePool(adoption)
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

port.on('message', (request: BuildRequest) => void build(request))

/**
 * A running prober, put together: the targets of the zone files, probed, and its votes told to Redis. No query is answered,
 * no database is read.
 *
 *   Loads: compile thread ─▶ plan ─▶ prober threads ═▶ Store ═▶ nodes
 *   Doors: control socket, http.listen ◀── readiness, status, metrics
 */
import type { Logger } from 'pino'
import { makeAdoption } from '../answer/adoption.ts'
import type { Readiness, Shown } from '../api/contract.ts'
import { proberStatusOf, type ProberStatusView, renderProberMetrics, type ServedProber } from '../api/prober-status.ts'
import type { Config } from '../config.ts'
import { nameOf } from '../git.ts'
import type { Store } from '../health/store.ts'
import type { ProberThread } from '../probe/thread.ts'
import { count } from '../units.ts'
import type { Built, Planned } from '../world/build.ts'
import { startCompiler } from '../world/compiler.ts'
import { LOCK_WAIT } from '../world/folder.ts'
import { loadInLog, Loads } from '../world/reloads.ts'
import { claimState, Doors } from './doors.ts'
import { makeProber, makeStore, probeSettings } from './wiring.ts'

export interface ProberOptions {
  readonly config: Config
  readonly log: Logger
}

export class RunningProber implements Shown {
  readonly #config: Config
  readonly #log: Logger
  readonly #store: Store
  readonly #loads: Loads<Planned>
  readonly #doors: Doors
  readonly #startedAtMs = Date.now()
  #planned: Planned | undefined
  #prober: ProberThread | undefined
  #stopping = false

  private constructor({ config, log }: ProberOptions) {
    this.#config = config
    this.#log = log
    this.#store = makeStore(config, 'prober', log)
    this.#doors = new Doors({ config, log, takeover: false, shown: this })
    this.#loads = new Loads({
      compiler: startCompiler(
        {
          zones: config.zones,
          follows: LOCK_WAIT,
          city: [],
          state: config.state,
          planOnly: true,
          probe: probeSettings(config),
        },
        makeAdoption(),
        { waits: (news) => log.info(news), kept: (trouble) => this.#loads.kept(trouble) },
      ),
      zones: config.zones,
      databases: [],
      take: ({ planned }: Built) => ({ taken: planned! }),
      use: (planned, load) => {
        const { targets } = this.#use(planned).plan
        log.info(
          { why: load.why, plan: planned.plan.hash, revision: nameOf(load.revision) },
          `reloaded (${load.why}): ${count(targets.length, 'target')}${loadInLog(load)}`,
        )
      },
      standing: () => `the ${this.#planned?.plan.targets.length ?? 0} targets there are go on being probed`,
      log,
    })
  }

  /** Throws StartError, with nothing left running. */
  static async start(options: ProberOptions): Promise<RunningProber> {
    await claimState(options.config, false)
    const prober = new RunningProber(options)
    try {
      await prober.#start()
      return prober
    } catch (error) {
      await prober.stop()
      throw error
    }
  }

  async #start(): Promise<void> {
    const config = this.#config
    await this.#doors.listenControl()
    await this.#doors.listenHttp()
    await this.#loads.watch()
    const planned = await this.#loads.first('nothing to probe')
    this.#prober = makeProber(config, this.#store, this.#log)
    const { plan, zoneCount } = this.#use(planned)
    const name = config['node.name']
    this.#log.info(
      {
        plan: plan.hash,
        revision: nameOf(this.#loads.revision),
        zones: zoneCount,
        targets: plan.targets.length,
        region: config['probe.region'],
        pid: process.pid,
      },
      `prober ${name} in ${config['probe.region']}: ${count(plan.targets.length, 'target')} of ${count(zoneCount, 'zone')}`,
    )
    this.#loads.begin()
  }

  #use(planned: Planned): Planned {
    const { targets } = planned.plan
    this.#planned = planned
    this.#prober!.setTargets(targets)
    return planned
  }

  /** Loads again what is on disk. */
  reload(why: string): void {
    this.#loads.reload(why)
  }

  readiness(): Readiness {
    const reasons = this.#stopping ? ['stopping'] : this.#planned === undefined ? ['no zones are loaded yet'] : []
    return { ready: reasons.length === 0, reasons, warnings: this.#loads.warnings }
  }

  async metrics(): Promise<string> {
    return renderProberMetrics(await this.#served())
  }

  async status(): Promise<ProberStatusView> {
    return proberStatusOf(await this.#served())
  }

  async #served(): Promise<ServedProber> {
    const planned = this.#planned
    const { shared, trouble, refusals } = this.#store
    return {
      config: this.#config,
      startedAtMs: this.#startedAtMs,
      readiness: this.readiness(),
      loads: this.#loads,
      plan: planned && { hash: planned.plan.hash, zones: planned.zoneCount },
      store: { shared, trouble, refused: refusals.counts },
      troubles: [...this.#doors.troubles, ...this.#loads.troubles],
      probing: this.#prober && { report: await this.#prober.report(), thread: this.#prober },
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#loads.end()
    await this.#prober?.stop()
    await this.#store.close()
    await this.#loads.stop()
    await this.#doors.stop()
  }
}

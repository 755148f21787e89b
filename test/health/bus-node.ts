/** The health of one node of a fleet over a Bus, as tests of what all nodes do alike start it. */
import { NodeHealth } from '../../src/health/node-health.ts'
import { makeHealthTable, SlotRegistry } from '../../src/health/table.ts'
import type { HealthSpec } from '../../src/health/target.ts'
import type { Bus, Link } from './bus.ts'

/** Order of calls: start, stop. */
export class BusNode {
  readonly name: string
  readonly table = makeHealthTable()
  readonly slots = new SlotRegistry()
  readonly link: Link
  readonly health: NodeHealth
  readonly news: string[] = []
  #generation = 0

  /** `file`: where its health is saved; without one it forgets all. */
  constructor(bus: Bus, name: string, file?: string) {
    this.name = name
    this.link = bus.link(1e9)
    this.health = new NodeHealth({
      table: this.table,
      store: this.link,
      node: { name, version: '1' },
      ...(file !== undefined && { file }),
      onNews: (_level, news) => this.news.push(news),
    })
  }

  async start(spec: HealthSpec): Promise<this> {
    await this.health.start()
    this.adopt(spec)
    return this
  }

  adopt(spec: HealthSpec): void {
    const names = spec.members.map((one) => one.name)
    this.health.adopt(spec, this.slots.assign(names, ++this.#generation)!, 'v1')
  }

  async stop(): Promise<void> {
    await this.health.stop()
    await this.link.close()
  }
}

/**
 * Restarts on a faulty disk: nodes of one repository that have served are killed and started again while there is a fault.
 * Each must answer as before within 5 s, and be told to be ready and not well.
 */
import { existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commit, git, makeRepository } from '../support/repository.ts'
import { DNS_PORT, HTTP_PORT, NodeProcess, Scene } from '../support/scene.ts'
import { until } from '../support/until.ts'
import type { Attack, Scale } from './attack.ts'

const NODES: Readonly<Record<Scale, number>> = { full: 3, smoke: 1 }
/** SECURITY.md promises it, of a machine that is not busy; the smoke lets it take as long as two starts without a fault. */
const WITHIN_MS = 5_000

interface Fault {
  readonly what: string
  readonly make: (scene: Scene) => void
}

const broken = (scene: Scene, file: string, text: string): void => {
  scene.write(file, text)
  commit(scene.zones, 1_790_000_600)
}

const FAULTS: readonly Fault[] = [
  { what: 'a broken commit', make: (scene) => broken(scene, 'demo.example.yaml', 'www: {type: A}\n') },
  { what: 'no YAML', make: (scene) => scene.write('sites.yaml', 'fra: [\n') },
  {
    what: 'conflict markers',
    make: (scene) =>
      scene.write('sites.yaml', '<<<<<<< HEAD\nfra: {}\n=======\nfra: {location: [1, 2]}\n>>>>>>> other\n'),
  },
  { what: 'no folder of zones', make: (scene) => rmSync(scene.zones, { recursive: true }) },
  {
    what: 'an empty folder of zones',
    make: (scene) => (rmSync(scene.zones, { recursive: true }), mkdirSync(scene.zones)),
  },
  {
    what: 'a damaged repository',
    make: (scene) => (broken(scene, 'sites.yaml', '- a\n'), writeFileSync(join(scene.zones, '.git/HEAD'), '')),
  },
  {
    what: 'a lock of git that nobody holds',
    make: (scene) => (broken(scene, 'sites.yaml', '- a\n'), writeFileSync(join(scene.zones, '.git/index.lock'), '')),
  },
  { what: 'a truncated database', make: (scene) => truncateSync(scene.city, 2_000) },
  { what: 'no database', make: (scene) => rmSync(scene.city) },
  {
    what: 'a broken commit and a truncated database',
    make: (scene) => (broken(scene, 'services.yaml', 'web: {}\n'), truncateSync(scene.city, 2_000)),
  },
]

class Fleet {
  readonly scene = new Scene()
  readonly #count: number
  #nodes: NodeProcess[] = []

  constructor(scale: Scale) {
    this.#count = NODES[scale]
    this.scene.write('services.yaml', SERVICES)
    makeRepository(this.scene.zones)
    commit(this.scene.zones, 1_790_000_000)
  }

  /**
   * Starts each when the one before has answered: each has a machine of its own elsewhere, and this one would divide
   * its cores among them. How long each took, in ms.
   */
  async startInTurn(withinMs: number): Promise<readonly number[]> {
    this.#nodes = []
    const times: number[] = []
    for (let n = 0; n < this.#count; n++) {
      this.#nodes.push(this.#started(n))
      times.push(await this.#answer(n, withinMs))
    }
    return times
  }

  #started(n: number): NodeProcess {
    const [at, state] = [this.scene.address(n), join(this.scene.folder, `state-${n}`)]
    const more = { state, listen: `${at}:${DNS_PORT}`, 'http-listen': `${at}:${HTTP_PORT}`, 'node-name': `n${n}` }
    return new NodeProcess(['serve', ...this.scene.flags(more)], state)
  }

  /** When a node has answered as it must, in ms from now. */
  async #answer(n: number, withinMs: number): Promise<number> {
    const startedMs = performance.now()
    const node = this.#nodes[n]!
    await until(
      () => `an answer of node ${n}; ${node.err}${node.out}`,
      async () => {
        if (!node.runs) throw new Error(`node ${n} ended: ${node.err}${node.out}`)
        const at = `@${this.scene.address(n)}`
        const { answer } = await this.scene
          .dig('82.64.0.0/24', at, 'www.demo.example', 'A')
          .catch(() => ({ answer: [] }))
        return answer[0] === '192.0.2.1' || undefined
      },
      withinMs,
    )
    return performance.now() - startedMs
  }

  /** Of each node: what is served, and what is told of it. */
  async told(): Promise<
    readonly { readonly view: string; readonly serial: number; readonly warnings: readonly string[] }[]
  > {
    return Promise.all(
      this.#nodes.map(async (node) => {
        await node.ready(60_000)
        const { node: own, world } = (await node.status())!
        return { view: world!.view, serial: world!.serial, warnings: own.warnings }
      }),
    )
  }

  /** Whether each has written what its next start may need. */
  kept(): boolean {
    return this.#nodes.every((_, n) => existsSync(join(this.scene.folder, `state-${n}`, 'last-good')))
  }

  async kill(): Promise<void> {
    for (const node of this.#nodes) node.kill('SIGKILL')
    await Promise.all(this.#nodes.map((node) => node.ended))
  }

  async terminate(): Promise<void> {
    for (const node of this.#nodes) node.kill('SIGTERM')
    await Promise.all(this.#nodes.map((node) => node.ended))
  }

  async end(): Promise<void> {
    await this.kill()
    await this.scene.close()
  }
}

const SERVICES = `web:
  sites: {fra: {vips: [192.0.2.1]}, iad: {vips: [192.0.2.2]}}
  check: none
`

async function run({ what, make }: Fault, scale: Scale, print: (line: string) => void): Promise<void> {
  const fleet = new Fleet(scale)
  try {
    const usual = Math.max(...(await fleet.startInTurn(60_000)))
    const before = await fleet.told()
    // what is kept is written behind the first answer
    await until('what is kept', () => fleet.kept())
    await fleet.kill()
    make(fleet.scene)
    const times = await fleet.startInTurn(scale === 'full' ? WITHIN_MS : Math.max(WITHIN_MS, 2 * usual))
    const after = await fleet.told()
    for (const [n, { view, serial, warnings }] of after.entries()) {
      if (view !== before[n]!.view) throw new Error(`${what}: node ${n} serves something else than before`)
      if (serial < before[n]!.serial) throw new Error(`${what}: the serial went back to ${serial}`)
      if (warnings.length === 0) throw new Error(`${what}: node ${n} does not say that anything is wrong`)
    }
    print(
      `${what} (${(usual / 1000).toFixed(1)} s without): ${times.map((ms) => `${(ms / 1000).toFixed(1)} s`).join(', ')}: ${after[0]!.warnings.join('; ')}`,
    )
    if (what === FAULTS[0]!.what) {
      git(fleet.scene.zones, 'revert', '--no-edit', 'HEAD')
      await until('the repaired commit is taken', async () =>
        (await fleet.told()).every(({ warnings }) => warnings.length === 0),
      )
    }
  } finally {
    await fleet.end()
  }
}

/** Nodes that end in order leave what Node compiled of them; a killed one leaves nothing, and the next start pays for it again. */
async function warm(): Promise<void> {
  const fleet = new Fleet('full')
  try {
    await fleet.startInTurn(60_000)
    await fleet.terminate()
  } finally {
    await fleet.end()
  }
}

export const attack: Attack = {
  tries: 'nodes are killed and started again while the zones, git or the databases are faulty',
  async run(scale, print) {
    if (scale === 'full') await warm() // all processes of `npm test` share what Node compiled
    for (const fault of scale === 'full' ? FAULTS : FAULTS.slice(0, 1)) await run(fault, scale, print)
  },
}

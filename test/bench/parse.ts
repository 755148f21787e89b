/**
 * What reading one query costs: `www.example.com A` with OPT and ECS, plain, and the longest name. Nanoseconds, the best
 * and the median of paired rounds; `npm run bench -- parse`
 */
import { encodeQuery } from '../../src/dns/message.ts'
import { Q_OK, makeQuery, parseQuery } from '../../src/dns/query.ts'

const ROUNDS = 40
const PARSES = 200_000

export function run(): void {
  const slot = new Uint8Array(65_536)
  const q = makeQuery()
  const queries = {
    'www.example.com A, OPT, ECS': encodeQuery({
      name: 'www.example.com',
      type: 'A',
      edns: { ecs: '198.51.100.0/24' },
    }),
    'www.example.com A': encodeQuery({ name: 'www.example.com', type: 'A' }),
    '127 labels': encodeQuery({ name: 'a.'.repeat(127), type: 'A' }),
    '4 labels of 62 bytes': encodeQuery({ name: `${'x'.repeat(62)}.`.repeat(4), type: 'A' }),
  }
  const nanos = new Map(Object.keys(queries).map((what) => [what, [] as number[]]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const [what, bytes] of Object.entries(queries)) {
      const at = 64 * (round % 16)
      slot.set(bytes, at)
      const started = process.hrtime.bigint()
      let good = 0
      for (let i = 0; i < PARSES; i++) {
        slot[at] = i & 255
        if (parseQuery(slot, at, bytes.length, q, 1) === Q_OK) good++
      }
      if (good !== PARSES) throw new Error('a good query was refused')
      nanos.get(what)!.push(Number(process.hrtime.bigint() - started) / PARSES)
    }
  }
  for (const [what, each] of nanos) {
    const sorted = each.toSorted((a, b) => a - b)
    console.log(`${what.padEnd(30)} best ${sorted[0]!.toFixed(0)} ns, median ${sorted[ROUNDS >> 1]!.toFixed(0)} ns`)
  }
}

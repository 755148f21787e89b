/** One node with three sites that are well: its answers, and the commands that ask about it. */
import { renameSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CLIENTS } from '../support/mmdb.ts'
import {
  DNS_PORT,
  HTTP_PORT,
  JAKARTA,
  meridian,
  NEW_YORK,
  type NodeProcess,
  PARIS,
  Scene,
  VIPS,
} from '../support/scene.ts'
import { until } from '../support/until.ts'

let scene: Scene
let node: NodeProcess
let secrets: string

const addressText = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')

beforeAll(async () => {
  scene = new Scene()
  await scene.startSites()
  secrets = `${scene.folder}/cookie-secrets`
  writeFileSync(secrets, `${'0a'.repeat(16)}\n`, { mode: 0o600 })
  node = await scene.startReady({
    'http-token': 'a-token-of-this-test',
    'node-nsid': 'the first',
    'cookies-secretFile': secrets,
    'chaos-identity': 'fra, rack 7',
    'report-channel': 'agent.example.net',
  })
  await until('all up', async () => Object.values(await node.states()).every((state) => state === 'up'))
})
afterAll(() => scene.close())

test.each([
  ['Paris', PARIS, 'fra'],
  ['New York', NEW_YORK, 'iad'],
  ['Jakarta', JAKARTA, 'sin'],
] as const)('%s gets the VIP of its nearest site, over UDP and TCP alike', async (_place, subnet, site) => {
  for (const transport of ['+notcp', '+tcp']) {
    const dug = await scene.dig(subnet, 'www.demo.example', 'A', transport)
    expect(dug).toMatchObject({ status: 'NOERROR', answer: [VIPS[site]], source: 24 })
    expect(dug.flags).toContain('aa')
    expect(dug.ttl).toBeGreaterThanOrEqual(5)
  }
})

test('the scope is where all clients of it get the same, and half of the next wider one does not', async () => {
  const { scope } = await scene.dig(NEW_YORK, 'www.demo.example', 'A')
  expect(scope).toBeGreaterThan(0)
  const address = CLIENTS.newYork.v4.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
  const size = 2 ** (32 - scope!)
  const first = Math.floor(address / size) * size
  for (const client of [first, first + size - 1]) {
    expect(await scene.dig(`${addressText(client)}/32`, 'www.demo.example', 'A')).toMatchObject({
      answer: [VIPS.iad],
      scope,
    })
  }
  const sibling = first % (2 * size) === 0 ? first + size : first - size
  const answers = await Promise.all(
    [sibling, sibling + size - 1, sibling + size / 2].map((client) =>
      scene.dig(`${addressText(client)}/32`, 'www.demo.example', 'A'),
    ),
  )
  expect(answers.some((dug) => dug.answer[0] !== VIPS.iad || dug.scope !== scope)).toBe(true)
})

test.each([PARIS, NEW_YORK, JAKARTA, `${CLIENTS.nowhere.v4}/32`, '0.0.0.0/0', undefined])(
  'AAAA of a service without IPv6 is no data for %s',
  async (subnet) => {
    const dug = await scene.dig(subnet, 'www.demo.example', 'AAAA')
    expect(dug).toMatchObject({ status: 'NOERROR', answer: [] })
    expect(dug.text).toMatch(/SOA\s+ns1\.demo\.example\./)
  },
)

test('static, missing and foreign names', async () => {
  expect(await scene.dig(PARIS, 'static.demo.example', 'A')).toMatchObject({ answer: ['192.0.2.80'], scope: 0 })
  expect(await scene.dig(undefined, 'none.demo.example', 'A')).toMatchObject({ status: 'NXDOMAIN', answer: [] })
  expect(await scene.dig(undefined, 'example.org', 'A')).toMatchObject({ status: 'REFUSED', answer: [] })
})

test('explain tells what is served, and what would be without a site', async () => {
  const here = ['--state', scene.state]
  const told = await meridian(['explain', 'www.demo.example', '--client', CLIENTS.paris.v4, ...here])
  expect(told).toMatchObject({ code: 0, err: '' })
  expect(told.out).toMatch(/pick +fra/)
  expect(told.out).toContain(`A ${VIPS.fra}`)
  const dug = await scene.dig(`${CLIENTS.paris.v4}/32`, 'www.demo.example', 'A')
  expect(told.out).toContain(`scope /${dug.scope}`)

  const question = ['explain', 'www.demo.example', '--client', CLIENTS.paris.v4, '--down', 'fra', '--json']
  const without = await meridian([...question, ...here])
  expect(JSON.parse(without.out)).toMatchObject({ rcode: 'NOERROR', steering: { pick: 'iad' } })

  const wrong = await meridian(['explain', 'www.demo.example', '--client', 'nobody', ...here])
  expect(wrong.code).toBe(2)
  expect(wrong.err).toContain('no IP address')
})

test('status, here and from afar with the token', async () => {
  const here = await meridian(['status', '--all', '--state', scene.state])
  expect(here.code).toBe(0)
  expect(here.out).toMatch(/n1 +ready/)
  for (const site of ['fra', 'iad', 'sin'] as const) expect(here.out).toMatch(new RegExp(`${site} +${VIPS[site]} +up`))
  const at = ['--at', `http://${scene.address(0)}:${HTTP_PORT}`]
  const ask = (token: string, ...more: string[]) =>
    meridian(['status', ...at, ...more], undefined, { MERIDIAN_TOKEN: token })
  const afar = await ask('a-token-of-this-test', '--json')
  expect(JSON.parse(afar.out)).toMatchObject({ node: { name: 'n1', ready: true }, world: { generation: 1 } })
  expect((await ask('another-token-of-this')).code).toBe(1)
})

test('a command without a node says which socket it tried', async () => {
  const nobody = await meridian(['status', '--state', `${scene.folder}/none`])
  expect(nobody.code).toBe(1)
  expect(nobody.err).toContain(`${scene.folder}/none/control.sock`)
})

test('metrics count queries and answers', async () => {
  await scene.dig(PARIS, 'www.demo.example', 'A')
  const text = await scene.metrics()
  const value = (series: string): number =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(series))
        ?.split(' ')[1],
    )
  expect(value('meridian_queries_total{transport="udp",type="A",rcode="NOERROR"}')).toBeGreaterThan(0)
  expect(value('meridian_queries_total{transport="tcp",type="A",rcode="NOERROR"}')).toBeGreaterThan(0)
  expect(value('meridian_queries_total{transport="udp",type="AAAA",rcode="NOERROR"}')).toBeGreaterThan(0)
  expect(value('meridian_answers_total{service="web",site="fra",stage="nearest"}')).toBeGreaterThan(0)
  expect(value('meridian_member_state{service="web",site="fra",vip="192.0.2.1",state="up"}')).toBe(1)
  expect(value('meridian_service_last_resort{service="web"}')).toBe(0)
  expect(value('meridian_prober_heartbeat_age_seconds{prober="n1",region="local"}')).toBeLessThan(10)
  expect(value('meridian_udp_batched')).toBe(1)
  expect(value('meridian_ready')).toBe(1)
})

test('queries are counted by the country of the client, whatever the transport: few of them exactly', async () => {
  const tokyo = `${CLIENTS.tokyo.v4}/32` // no other test asks from there
  for (const transport of ['+notcp', '+notcp', '+tcp']) await scene.dig(tokyo, 'www.demo.example', 'A', transport)
  await until('all three', async () =>
    /^meridian_country_queries_total\{country="JP"\} 3$/m.test(await scene.metrics()),
  )
})

/** Queries with a cookie so far: new, bad, valid. */
const cookies = async (): Promise<number[]> => {
  const text = await scene.metrics()
  return ['new', 'bad', 'valid'].map((cookie) =>
    Number(new RegExp(`^meridian_cookie_queries_total\\{cookie="${cookie}"\\} (\\d+)$`, 'm').exec(text)?.[1]),
  )
}

/** What dig prints, and how the query was counted. */
const digCounted = async (...args: readonly string[]) => {
  const before = await cookies()
  const { text } = await scene.dig(PARIS, ...args, 'www.demo.example', 'A')
  const after = await cookies()
  return { text, counted: after.map((count, i) => count - before[i]!) }
}

test('dig +nsid shows which node it is, and +cookie a good cookie that the node knows again', async () => {
  const first = await digCounted('+nsid', '+cookie=0123456789abcdef')
  expect(first.text).toMatch(/NSID: .*\("the first"\)/)
  expect(first.counted).toEqual([1, 0, 0])
  const cookie = /; COOKIE: (0123456789abcdef[0-9a-f]{32}) \(good\)/.exec(first.text)![1]!
  const known = `+cookie=${cookie}`
  for (const transport of ['+notcp', '+tcp']) {
    const again = await digCounted(known, transport)
    expect(again.text).toContain(`; COOKIE: ${cookie} (good)`)
    expect(again.counted).toEqual([0, 0, 1])
  }

  // a new secret beside it, in the way that volumes of secrets change: the cookie stays valid, and is replaced
  writeFileSync(`${secrets}.new`, `${'0b'.repeat(16)}\n${'0a'.repeat(16)}\n`, { mode: 0o600 })
  renameSync(`${secrets}.new`, secrets)
  await until('another cookie', async () => !(await digCounted(known)).text.includes(cookie))
  expect((await digCounted(known)).counted).toEqual([0, 0, 1])
  // and without the old one it is no longer
  writeFileSync(secrets, `${'0b'.repeat(16)}\n`)
  await until('a bad cookie', async () => (await digCounted(known)).counted[1] === 1)
  // a damaged file changes nothing, and is told
  writeFileSync(secrets, 'nonsense')
  await until('the trouble', async () => {
    const { out } = await meridian(['status', '--state', scene.state])
    return out.replaceAll(/\n!? +/g, ' ').includes('1 is not 32 hexadecimal digits')
  })
  const now = /; COOKIE: ([0-9a-f]{48}) \(good\)/.exec((await digCounted(known)).text)![1]!
  expect((await digCounted(`+cookie=${now}`)).counted).toEqual([0, 0, 1])
})

test('dig shows why an answer is refused, who answers, from which serial, and where to report; kept alive over TCP', async () => {
  const refused = await scene.dig(undefined, 'example.org', 'A')
  expect(refused.text).toContain('EDE: 20 (Not Authoritative)')
  const steered = await scene.dig(PARIS, '+tcp', '+keepalive', '+ednsopt=19', 'www.demo.example', 'A')
  expect(steered.text).not.toContain('EDE')
  expect(steered.text).toMatch(/TCP[- ]KEEPALIVE: 10\.0 secs/i)
  expect(steered.text).toMatch(/OPT=19: 02 00 [0-9a-f ]{11}|ZONEVERSION/)
  expect(steered.text).toMatch(/OPT=18: 05 61 67 65 6e 74|agent\.example\.net/i)
  const who = await scene.dig(undefined, 'CH', 'TXT', 'id.server')
  expect(who.answer).toEqual(['"fra, rack 7"'])
  expect((await scene.dig(undefined, 'CH', 'TXT', 'version.bind')).status).toBe('REFUSED')
})

test('the port says nothing to what is no query', async () => {
  const ready = await fetch(`http://${scene.address(0)}:${HTTP_PORT}/ready`)
  expect(ready.status).toBe(200)
  const dug = await scene.dig(undefined, '+opcode=2', 'www.demo.example', 'A', '-p', String(DNS_PORT))
  expect(dug.status).toBe('NOTIMP')
})

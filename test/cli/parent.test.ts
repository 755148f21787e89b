/** `meridian check --parent`, against real servers: one of ours that serves the parent zone, and ones that misbehave. */
import { createSocket } from 'node:dgram'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { run } from '../../src/cli/commands.ts'
import { checkParent } from '../../src/cli/parent.ts'
import { loadFolder } from '../../src/load/load.ts'
import type { Problem } from '../../src/problem.ts'
import type { ZoneModel } from '../../src/zone/pack.ts'
import { makeNode } from '../answer/fixture.ts'
import { type Running, start } from '../server/fixture.ts'

const folders = resolve(import.meta.dirname, '../zones')
const filesOf = (folder: string): Record<string, string> =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]))

/** A server on `address` that serves the files. */
async function serve(files: Readonly<Record<string, string>>, address = '127.0.0.1'): Promise<Running> {
  const { made } = await makeNode(files)
  return start({ world: { ...made.world, generation: 1 }, listen: [{ address, port: 0 }], portable: true })
}

async function zonesOf(folder: string): Promise<readonly ZoneModel[]> {
  const { model } = await loadFolder(folder)
  return model!.zones
}

let parent: Running
const ended: (() => unknown)[] = []
beforeAll(async () => {
  parent = await serve(filesOf(join(folders, 'parent-differs/parent')))
})
afterAll(() => parent.server.stop(0))
afterEach(async () => {
  for (const end of ended.splice(0)) await end()
})

const brief = ({ code, severity, message }: Problem): string => `${severity} ${code} ${message}`

test.each(['parent-differs', 'parent-unreachable'])('%s: the twin says what its parent says', async (code) => {
  expect(await checkParent(parent.server.listen[0]!, await zonesOf(join(folders, code, 'good')))).toEqual([])
})

test('name servers that differ are told one by one, with what to change', async () => {
  const problems = await checkParent(parent.server.listen[0]!, await zonesOf(join(folders, 'parent-differs/bad')))
  expect(problems.map(brief)).toEqual([
    'error parent-differs ns3.example.net. is a name server of gslb.example.com. here, but not in the parent zone',
    'error parent-differs ns2.gslb.example.com. is a name server of gslb.example.com. in the parent zone, but not here',
  ])
  expect(problems[0]).toMatchObject({ line: 1, column: 5 })
  expect(problems[0]!.hint).toBe('Add to the parent zone: gslb.example.com. NS ns3.example.net.; or remove it here')
})

test('a server that does not know the zone is told as that', async () => {
  const { address, port } = parent.server.listen[0]!
  const problems = await checkParent({ address, port }, await zonesOf(join(folders, 'parent-unreachable/bad')))
  expect(problems.map(brief)).toEqual([
    `warning parent-unreachable ${address}:${port} answers REFUSED to gslb.example.org.: it does not serve the parent zone`,
  ])
})

const DEFAULTS = { 'defaults.yaml': 'soa: {serial: 1}\n' }
const NS = '"": {type: NS, values: [a.example.net., b.example.net.]}\n'

/** What a server of these parent files says of a zone. */
async function compare(parentFiles: Record<string, string>, child: Record<string, string>, address?: string) {
  const { server } = await serve({ ...DEFAULTS, ...parentFiles }, address)
  ended.push(() => server.stop(0))
  const { made } = await makeNode({ ...DEFAULTS, ...child }) // valid, or this throws
  expect(made.zoneCount).toBeGreaterThan(0)
  const problems = await checkParent(server.listen[0]!, await modelOf({ ...DEFAULTS, ...child }))
  return problems.map(({ code, message }) => `${code} ${message}`)
}

async function modelOf(files: Readonly<Record<string, string>>): Promise<readonly ZoneModel[]> {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-parent-'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  const zones = await zonesOf(folder)
  rmSync(folder, { recursive: true })
  return zones
}

test('glue: what lacks, and what is more; over IPv6', async () => {
  const zone = `${NS}sub:\n  - {type: NS, values: [n.sub.example.com.]}\nn.sub: {type: A, values: [192.0.2.1, 192.0.2.2]}\n`
  const child =
    '"": {type: NS, values: [n.sub.example.com.]}\nn:\n  - {type: A, values: [192.0.2.2]}\n  - {type: AAAA, values: ["2001:db8::1"]}\n'
  expect(await compare({ 'example.com.yaml': zone }, { 'sub.example.com.yaml': child }, '::1')).toEqual([
    'parent-differs the parent zone has no glue 2001:db8::1 for n.sub.example.com., which has that address here',
    "parent-differs the parent zone's glue for n.sub.example.com. is 192.0.2.1, an address that it does not have here",
  ])
})

const tenAddresses = (i: number): string => Array.from({ length: 10 }, (_, j) => `10.0.${i}.${j}`).join(', ')

test('more glue than a datagram holds comes over TCP', async () => {
  const hosts = Array.from({ length: 12 }, (_, i) => `name-server-with-a-long-name-${i}.sub.example.com.`)
  const records = (suffix: string): string =>
    hosts
      .map((host, i) => `${host.replace('.sub.example.com.', '')}${suffix}: {type: A, values: [${tenAddresses(i)}]}\n`)
      .join('')
  const list = `{type: NS, values: [${hosts.join(', ')}]}\n`
  expect(
    await compare(
      { 'example.com.yaml': `${NS}sub: ${list}${records('.sub')}` },
      { 'sub.example.com.yaml': `"": ${list}${records('')}` },
    ),
  ).toEqual([])
})

test('glue that a reply over UDP leaves out without a word is looked for over TCP', async () => {
  const zone = (glue: string): Record<string, string> => ({
    ...DEFAULTS,
    'example.com.yaml': `${NS}sub: {type: NS, values: [n.sub.example.com.]}\nn.sub: [${glue}]\n`,
  })
  const first = '{type: A, values: [192.0.2.1]}'
  const second = '{type: AAAA, values: ["2001:db8::1"]}'
  const [less, whole] = [await serve(zone(first)), await serve(zone(`${first}, ${second}`))]
  ended.push(
    () => less.server.stop(0),
    () => whole.server.stop(0),
  )
  const stream = createServer((client) => {
    const { address, port } = whole.server.listen[0]!
    const way = connect(port, address)
    client.pipe(way).pipe(client)
    for (const end of [client, way]) end.on('error', () => {})
  })
  await new Promise<void>((done) => stream.listen(0, '127.0.0.1', done))
  const bound = stream.address()
  const port = typeof bound === 'object' ? bound!.port : 0
  const datagrams = createSocket('udp4')
  datagrams.on('message', (query, from) => {
    const way = createSocket('udp4')
    way.once('message', (reply) => {
      datagrams.send(reply, from.port, from.address)
      way.close()
    })
    way.send(query, less.server.listen[0]!.port, less.server.listen[0]!.address)
  })
  await new Promise<void>((done) => datagrams.bind(port, '127.0.0.1', done))
  ended.push(
    () => stream.close(),
    () => datagrams.close(),
  )
  const child = `"": {type: NS, values: [n.sub.example.com.]}\nn: [${first}, ${second}]\n`
  const zones = await modelOf({ ...DEFAULTS, 'sub.example.com.yaml': child })
  expect(await checkParent({ address: '127.0.0.1', port }, zones)).toEqual([])
})

test('a zone that its parent does not delegate', async () => {
  expect(await compare({ 'example.com.yaml': NS }, { 'sub.example.com.yaml': NS })).toEqual([
    'parent-differs the parent zone does not delegate sub.example.com.',
  ])
})

test('a server of the zone itself, and one of an ancestor, cannot tell', async () => {
  const [itself] = await compare({ 'sub.example.com.yaml': NS }, { 'sub.example.com.yaml': NS })
  expect(itself).toMatch(/^parent-unreachable .* serves sub\.example\.com\. itself/)
  const above = 'example: {type: NS, values: [a.example.net.]}\n'
  const [referral] = await compare({ 'c.om.yaml': NS + above }, { 'sub.example.c.om.yaml': NS })
  expect(referral).toMatch(/^parent-unreachable .* refers to the servers of example\.c\.om\. for sub/)
})

test('zones within zones of the folder are the outer file’s affair', async () => {
  const outer = `${NS}sub: {type: NS, values: [a.example.net.]}\n`
  expect(
    await compare(
      { 'com.yaml.yaml': NS, 'e.test.yaml': `${NS}x: {type: NS, values: [a.example.net., b.example.net.]}\n` },
      { 'x.e.test.yaml': outer, 'sub.x.e.test.yaml': NS },
    ),
  ).toEqual([])
})

test('a port where nobody listens is told at once, and the other zones are not asked', async () => {
  const held = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => held.once('listening', done))
  const address = held.address()
  const port = typeof address === 'object' ? address!.port : 0
  ended.push(() => held.close())
  const zones = await modelOf({
    ...DEFAULTS,
    ...Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`z${i}.test.yaml`, NS])),
  })
  const problems = await checkParent({ address: '127.0.0.1', port }, zones)
  expect(problems.map(({ code }) => code)).toEqual(Array.from({ length: 9 }, () => 'parent-unreachable'))
  expect(problems.map(({ message }) => message)).toContain(
    `127.0.0.1:${port} did not answer; it was not asked about 22 more zones`,
  )
})

test('a first query that is lost is asked again; what is no reply to it is passed over', async () => {
  const upstream = parent.server.listen[0]!
  const proxy = createSocket('udp4')
  let seen = 0
  proxy.on('message', (query, from) => {
    if (++seen === 1) return // lost
    const stray = Uint8Array.from(query)
    stray[0]! ^= 0xff
    stray[2]! |= 0x80
    proxy.send(stray, from.port, from.address)
    const way = createSocket('udp4')
    way.once('message', (reply) => {
      proxy.send(reply, from.port, from.address)
      way.close()
    })
    way.send(query, upstream.port, upstream.address)
  })
  await new Promise<void>((done) => proxy.bind(0, '127.0.0.1', done))
  ended.push(() => proxy.close())
  const zones = await zonesOf(join(folders, 'parent-differs/good'))
  expect(await checkParent({ address: '127.0.0.1', port: proxy.address().port }, zones)).toEqual([])
  expect(seen).toBe(2)
})

test('the command takes an address with a port, IPv6 in brackets, and fails for what differs', async () => {
  const six = await serve(filesOf(join(folders, 'parent-differs/parent')), '::1')
  ended.push(() => six.server.stop(0))
  for (const { address, port } of [parent.server.listen[0]!, six.server.listen[0]!]) {
    const lines: string[] = []
    const output = { out: (line: string) => void lines.push(line), err: (line: string) => void lines.push(line) }
    const at = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
    const code = await run(
      ['check', '--parent', at, '--format', 'github', join(folders, 'parent-differs/bad')],
      output,
      () => Promise.resolve(),
    )
    expect(code).toBe(1)
    expect(lines.filter((line) => line.includes('title=parent-differs::'))).toHaveLength(2)
  }
})

/** PowerDNS itself with its geoip backend, and Meridian with what was imported of its zones file. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seeded, type TestNode } from '../../answer/fixture.ts'
import { folderOf } from '../folder.ts'
import {
  askMeridian,
  askServer,
  DATABASE,
  differences,
  meridianOf,
  randomQuestions,
  type Server,
  sharesOf,
  startServer,
} from '../peers.ts'
import { DRAWN, NAMES, ZONES } from './zones.ts'

let server: Server
let meridian: TestNode

const config = (folder: string, port: number): string => `launch=geoip
local-address=127.0.0.1
local-port=${port}
socket-dir=${folder}
daemon=no
guardian=no
geoip-database-files=mmdb:${DATABASE}
geoip-zones-file=${folder}/geo.yaml
edns-subnet-processing=yes
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
loglevel=3
`

beforeAll(async () => {
  const folder = folderOf({ 'geo.yaml': ZONES })
  meridian = await meridianOf({ format: 'powerdns', path: join(folder, 'geo.yaml') })
  const command = (port: number): readonly string[] => {
    writeFileSync(join(folder, 'pdns.conf'), config(folder, port))
    return ['pdns_server', `--config-dir=${folder}`]
  }
  server = await startServer(command, 'plain.geo.example.com A')
}, 120_000)
afterAll(() => server.stop())

test('10,000 questions from all over the world have the same answers', { timeout: 120_000 }, async () => {
  const questions = randomQuestions(10_000, NAMES, ['A', 'A', 'A', 'AAAA', 'MX', 'TXT', 'SRV', 'CAA', 'NS'], seeded(15))
  const theirs = await askServer(server.port, questions)
  const ours = askMeridian(meridian, questions)
  expect(differences(questions, theirs, ours).slice(0, 10)).toEqual([])
  // and it was worth asking
  const told = theirs.flatMap(({ answer }) => answer).join('\n')
  for (const text of [
    '192.0.2.2',
    '192.0.2.33',
    '192.0.2.4',
    '192.0.2.41',
    '192.0.2.51',
    'cname eu.example.net.',
    'cname de.cdn',
  ])
    expect(told).toContain(` ${text}`)
})

test('what chance decides is as likely as there', { timeout: 120_000 }, async () => {
  for (const q of DRAWN.flatMap((name) => [`${name} A`, `${name} AAAA`])) {
    const questions = Array.from({ length: 1500 }, () => ({ q }))
    const theirs = sharesOf(await askServer(server.port, questions))
    const ours = sharesOf(askMeridian(meridian, questions))
    expect([...ours.keys()].toSorted(), q).toEqual([...theirs.keys()].toSorted())
    // two shares of 1,500 differ by 0.018 where they are 1/2: five times that
    for (const [answer, share] of theirs) expect(Math.abs(ours.get(answer)! - share), answer).toBeLessThan(0.09)
  }
})

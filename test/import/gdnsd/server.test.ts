/** gdnsd itself, and Meridian with what was imported of its configuration. */
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
import { config, DRAWN, NAMES, NETS, ZONE } from './zones.ts'

let server: Server
let meridian: TestNode

beforeAll(async () => {
  const folder = folderOf({ config: config(DATABASE, 53, '/'), 'zones/example.com': ZONE, 'geoip/nets-file': NETS })
  meridian = await meridianOf({ format: 'gdnsd', path: folder })
  const command = (port: number): readonly string[] => {
    writeFileSync(join(folder, 'config'), config(DATABASE, port, folder))
    return ['gdnsd', '-c', folder, 'start']
  }
  server = await startServer(command, 'ns1.example.com A')
}, 120_000)
afterAll(() => server.stop())

test('10,000 questions from all over the world have the same answers', { timeout: 120_000 }, async () => {
  const questions = randomQuestions(10_000, NAMES, ['A', 'A', 'AAAA', 'MX', 'TXT', 'SRV'], seeded(14))
  const theirs = await askServer(server.port, questions)
  const ours = askMeridian(meridian, questions)
  expect(differences(questions, theirs, ours).slice(0, 10)).toEqual([])
  // and it was worth asking: all sites, both rcodes
  const told = new Set(theirs.flatMap(({ answer }) => answer))
  for (const site of ['1', '2', '3', '4']) expect([...told].join('\n')).toContain(` in a 203.0.113.${site}`)
  expect(new Set(theirs.map(({ rcode }) => rcode))).toEqual(new Set(['NOERROR', 'NXDOMAIN']))
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

/** BIND itself, and Meridian with the zone that was imported from its master file. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TestNode } from '../../answer/fixture.ts'
import { folderOf } from '../folder.ts'
import { askMeridian, askServer, meridianOf, type Server, startServer } from '../peers.ts'
import { MORE, QUESTIONS, ZONE } from './zones.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

let server: Server
let meridian: TestNode

const config = (folder: string, port: number): string => `
options { directory "${folder}"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none; recursion no;
  allow-transfer { none; }; minimal-responses yes; managed-keys-directory "${folder}"; dnssec-validation no; };
controls {};
zone "example.com" { type master; file "db.example.com"; check-names ignore; };
`

beforeAll(async () => {
  const folder = folderOf({ 'db.example.com': ZONE, 'more/more.inc': MORE })
  meridian = await meridianOf({ format: 'bind', path: join(folder, 'db.example.com') }, [])
  const command = (port: number): readonly string[] => {
    writeFileSync(join(folder, 'named.conf'), config(folder, port))
    return ['named', '-g', '-n', '1', '-c', join(folder, 'named.conf')]
  }
  server = await startServer(command, 'ns1.example.com A')
}, 120_000)
afterAll(() => server.stop())

test('each record of each type is the same', { timeout: 60_000 }, async () => {
  const questions = QUESTIONS.map((q) => ({ q }))
  const theirs = await askServer(server.port, questions)
  const ours = askMeridian(meridian, questions)
  // BIND follows aliases within the zone, as Meridian does; the serial is the one thing that is Meridian's own
  const told = (replies: typeof ours): readonly object[] =>
    replies.map(({ rcode, answer, ttls }, i) => ({
      q: QUESTIONS[i],
      rcode,
      ttls,
      answer: answer.map((rr) => (rr.includes(' soa ') ? rr.replace(/ \d+ 7200 /, ' SERIAL 7200 ') : rr)),
    }))
  expect(told(ours)).toEqual(told(theirs))
  expect(theirs.filter(({ answer }) => answer.length > 0).length).toBeGreaterThan(40)
})

/** However little room there is, a truncated reply has the rcode of the whole one. */
import { expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest } from '../../src/answer/responder.ts'
import { encodeQuery } from '../../src/dns/message.ts'
import { makeNode } from './fixture.ts'

test('a CNAME to nowhere is NXDOMAIN in any room', async () => {
  const node = await makeNode({
    'defaults.yaml': 'soa: {mname: ns1.example.net., rname: h.example.net., serial: 1}\n',
    'example.com.yaml': `"": {type: NS, value: ns1.example.net.}\nalias: {type: CNAME, value: nowhere.example.com.}\n`,
  })
  const query = encodeQuery({ name: 'alias.example.com.', type: 'A' })
  const rcodes = new Map<number, number[]>()
  for (let room = query.length; room <= 200; room++) {
    const out = new Uint8Array(room)
    const size = respond(
      node.responder,
      makeRequest({ input: query, client: Uint8Array.of(127, 0, 0, 1), output: out, room }),
    )
    const rcode = out[3]! & 15
    rcodes.set(rcode, [...(rcodes.get(rcode) ?? []), size])
  }
  expect([...rcodes.keys()]).toEqual([3])
  expect(new Set(rcodes.get(3)).size).toBe(2) // truncated, and whole
})

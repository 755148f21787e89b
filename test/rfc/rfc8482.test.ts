/** RFC 8482 §4.2: ANY gets a HINFO where the name exists, and what any other type gets where it does not. */
import { test } from 'vitest'
import { makeNode } from '../answer/fixture.ts'
import { makeAsk, memory } from '../support/ask.ts'
import { SOA, ask } from './world.ts'

const hinfo = (name: string): string[] => [`${name}.example.com. 3600 IN HINFO "RFC8482" ""`]

test('a name with records, static or steered or both, or a wildcard’s', async () => {
  for (const name of ['host', 'www', 'mixed', 'any.wild', 'q.apps', 'many']) {
    await ask({
      q: `${name}.example.com ANY`,
      rcode: 'NOERROR',
      aa: true,
      answer: hinfo(name),
      authority: [],
      additional: [],
    })
  }
})

test('no such name, an empty non-terminal, a delegation, no zone of ours', async () => {
  await ask({ q: 'nothing.example.com ANY', rcode: 'NXDOMAIN', aa: true, answer: [], authority: [SOA] })
  await ask({ q: 'z.example.com ANY', rcode: 'NOERROR', aa: true, answer: [], authority: [SOA] })
  await ask({ q: 'www.child.example.com ANY', rcode: 'NOERROR', aa: false, answer: [] })
  await ask({ q: 'www.example.org ANY', rcode: 'REFUSED', aa: false, answer: [] })
})

test('a CNAME is what ANY gets where there is one (§4.2)', async () => {
  const node = await makeNode({
    'defaults.yaml': 'soa: {mname: ns1.example.net., rname: h.example.net., serial: 1}\n',
    'example.com.yaml':
      '"": {type: NS, value: ns1.example.net.}\nalias: {type: CNAME, value: to.example.com.}\nto: {type: A, value: 192.0.2.1}\n',
  })
  await makeAsk(memory(node.responder, 'udp'))({
    q: 'alias.example.com ANY',
    rcode: 'NOERROR',
    aa: true,
    answer: ['alias.example.com. 3600 IN CNAME to.example.com.'],
    authority: [],
  })
})

/** RFC 8482 §4.2: ANY gets a HINFO where the name exists, and what any other type gets where it does not. */
import { rule, SOA } from './world.ts'

const hinfo = (name: string): string[] => [`${name}.example.com. 3600 IN HINFO "RFC8482" ""`]

rule('a name with records, static or steered or both, or a wildcard’s', async ({ ask }) => {
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

rule('no such name, an empty non-terminal, a delegation, no zone of ours', async ({ ask }) => {
  await ask({ q: 'nothing.example.com ANY', rcode: 'NXDOMAIN', aa: true, answer: [], authority: [SOA] })
  await ask({ q: 'z.example.com ANY', rcode: 'NOERROR', aa: true, answer: [], authority: [SOA] })
  await ask({ q: 'www.child.example.com ANY', rcode: 'NOERROR', aa: false, answer: [] })
  await ask({ q: 'www.example.org ANY', rcode: 'REFUSED', aa: false, answer: [] })
})

rule('a CNAME is what ANY gets where there is one (§4.2)', async ({ ask }) => {
  const answer = ['alias.example.com. 120 IN CNAME host.example.com.']
  await ask({ q: 'alias.example.com ANY', rcode: 'NOERROR', aa: true, answer, authority: [] })
})

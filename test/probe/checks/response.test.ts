/** The reader of responses: the same whatever the pieces in which they come, and no worse than curl and HAProxy. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ResponseReader } from '../../../src/probe/checks/response.ts'

/** All that is told of a response, its body as one text. */
function told(method: string, pieces: readonly Buffer[], most = Infinity): readonly string[] {
  const news: string[] = []
  let body = ''
  const reader = new ResponseReader(method, {
    onHead: ({ status, headers }) => {
      news.push(`${status} ${JSON.stringify(Object.fromEntries(headers))}`)
      return true
    },
    onBody: (piece) => {
      body += piece.toString('latin1')
      return body.length < most
    },
    onEnd: () => void news.push('end'),
    onFault: (fault) => void news.push(fault),
  })
  for (const piece of pieces) reader.push(piece)
  reader.end()
  return [...news, body]
}
const read = (text: string, method = 'GET'): readonly string[] => told(method, [Buffer.from(text, 'latin1')])

const OK = 'HTTP/1.1 200 OK\r\n'
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`

test.each<[string, readonly string[]]>([
  [`${OK}content-length: 2\r\n\r\nok`, ['200 {"content-length":"2"}', 'end', 'ok']],
  [`${OK}content-length: 0\r\n\r\n`, ['200 {"content-length":"0"}', 'end', '']],
  [`${OK}\r\nuntil the end`, ['200 {}', 'end', 'until the end']],
  [`\r\n\n${OK}\r\n`, ['200 {}', 'end', '']],
  ['HTTP/1.0 204 No\r\n\r\nnothing of this', ['204 {}', 'end', '']],
  ['HTTP/1.1 304 No\r\ncontent-length: 9\r\n\r\n', ['304 {"content-length":"9"}', 'end', '']],
  [`HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n${OK}A: 1\r\na:2\r\n\r\n`, ['200 {"a":"1, 2"}', 'end', '']],
  [`${OK}A: 1\r\n 2\r\n\t 3\r\n\r\n`, ['200 {"a":"1 2 3"}', 'end', '']],
  [`${OK} folded before any\r\nA : 1\r\n\r\n`, ['200 {"a":"1"}', 'end', '']],
  [`${OK}content-length: 2, 2\r\n\r\nok`, ['200 {"content-length":"2, 2"}', 'end', 'ok']],
  [`${CHUNKED}2\r\nok\r\n0\r\nA: 1\r\n\r\n`, ['200 {"transfer-encoding":"chunked"}', 'end', 'ok']],
  [`${CHUNKED}2;a="b"\nok\n00\n\n`, ['200 {"transfer-encoding":"chunked"}', 'end', 'ok']],
  [`${OK}transfer-encoding: gzip\r\n\r\nxyz`, ['200 {"transfer-encoding":"gzip"}', 'end', 'xyz']],
  // cut short
  ['', ['connection closed without a response', '']],
  ['HTTP/1.1 200 OK\r\nA: 1\r\n', ['connection closed within the header', '']],
  [`${OK}content-length: 9\r\n\r\nok`, ['200 {"content-length":"9"}', 'connection closed within the body', 'ok']],
  [`${CHUNKED}2\r\nok\r\n`, ['200 {"transfer-encoding":"chunked"}', 'connection closed within the body', 'ok']],
  [
    `${CHUNKED}2\r\nok\r\n0\r\n`,
    ['200 {"transfer-encoding":"chunked"}', 'connection closed within the trailers', 'ok'],
  ],
  // too much
  [`${OK}A: ${'a'.repeat(20_000)}`, ['header too large: more than 16384 bytes', '']],
  [`${OK}${'A: 1\r\n'.repeat(3000)}`, ['header too large: more than 16384 bytes', '']],
  [
    `${CHUNKED}2;${'a'.repeat(20_000)}`,
    ['200 {"transfer-encoding":"chunked"}', 'chunk size too large: more than 16384 bytes', ''],
  ],
  ['HTTP/1.1 100 Go\r\n\r\n'.repeat(17), ['more than 16 interim responses', '']],
])('%j', (text, expected) => {
  expect(read(text)).toEqual(expected)
})

test('a response to HEAD has no body, whatever its header says', () => {
  expect(read(`${OK}content-length: 9\r\n\r\n`, 'HEAD')).toEqual(['200 {"content-length":"9"}', 'end', ''])
})

test('what is enough is the end: nothing more is told', () => {
  expect(told('GET', [Buffer.from(`${CHUNKED}2\r\nok\r\n2\r\nno\r\n0\r\n\r\n`)], 2)).toEqual([
    '200 {"transfer-encoding":"chunked"}',
    'ok',
  ])
})

const line = fc.constantFrom(
  'A: 1',
  'b:2',
  ' more',
  '\tmore',
  'Content-Length: 4',
  'Content-Length: 5',
  'none',
  'Transfer-Encoding: chunked',
)
const end = fc.constantFrom('\r\n', '\n')
const text = fc
  .tuple(
    fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.0 404', 'HTTP/1.1 100 Go', 'HTTP/2 200', 'SSH-2.0'),
    fc.array(line, { maxLength: 5 }),
    end,
    fc.constantFrom('body', '4\r\nbody\r\n0\r\n\r\n', '2\nbo\n2;x\ndy\n0\nT: 1\n\n', '4\r\nbodyno', ''),
  )
  .map(([first, lines, ends, body]) => [first, ...lines, '', body].join(ends))

test('in whatever pieces it comes, the same is told', () => {
  fc.assert(
    fc.property(text, fc.array(fc.nat({ max: 80 }), { maxLength: 8 }), (whole, cuts) => {
      const bytes = Buffer.from(whole, 'latin1')
      const at = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length]
      const pieces = at.slice(1).map((to, i) => bytes.subarray(at[i], to))
      expect(told('GET', pieces)).toEqual(told('GET', [bytes]))
      expect(
        told(
          'GET',
          Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)),
        ),
      ).toEqual(told('GET', [bytes]))
    }),
    { numRuns: 500 },
  )
})

test('whatever comes, it ends, and is told once', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 })), (pieces) => {
      const news = told(
        'GET',
        pieces.map((piece) => Buffer.from(piece)),
      )
      expect(news).toHaveLength(2)
    }),
  )
})

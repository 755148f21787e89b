/**
 * Each block of YAML in the docs is read by what reads such files: ```yaml services.yaml. GitHub does not show the word behind the
 * language, which is
 *
 *   meridian.yaml, services.yaml, defaults.yaml, drills.yaml   a file of that name
 *   zone, service                                              a zone file; what stands below the name of a service
 *   zones                                                      files, each behind a comment with its name
 *   elsewhere: WHO                                             another program reads it
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadSettings } from '../../src/node/settings.ts'
import { formatProblem, type Problem } from '../../src/problem.ts'
import { blocksOf, type Block, DOCS } from '../support/docs.ts'
import { emptyFolder, load, NS, writeZones } from '../support/folder.ts'

const blocks = DOCS.flatMap(blocksOf).filter(({ language }) => /^ya?ml$/.test(language))
const whereOf = ({ file, line }: Block): string => `${file}:${line}`

const SITES = 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\n'
const WEB = '  sites: {fra: {vips: [192.0.2.10]}, iad: {vips: [198.51.100.10]}}\n'
const BASE = {
  'sites.yaml': SITES,
  'services.yaml': `web:\n${WEB}  check: {type: tcp, port: 443}\norders:\n${WEB}  check: none\n`,
}

/** What blocks include. */
const INCLUDED = {
  'common/apex.yaml': '- {type: NS, values: [ns1.example.net.]}\n',
  'eu.yaml': '[192.0.2.1]\n',
  'us.yaml': '[192.0.2.2]\n',
  'common/mail.yaml': 'type: A\nvalues: [192.0.2.3]\n',
  'branch-offices.txt': '198.51.100.0/24\n',
}

const indented = (text: string): string => text.replaceAll(/^(?=.)/gm, '  ')

/** A folder of zones with what a block has. */
function zonesWith(kind: string, text: string): Readonly<Record<string, string>> {
  const included = Object.entries(INCLUDED).filter(([name]) => text.includes(name))
  const common = { ...BASE, ...Object.fromEntries(included) }
  if (kind === 'zone') return { ...common, 'example.com.yaml': /^"":/m.test(text) ? text : NS + text }
  if (kind === 'service') {
    const check = /^check:/m.test(text) ? '' : '  check: none\n'
    return { ...common, 'example.com.yaml': NS, 'services.yaml': `web:\n${WEB}${check}${indented(text)}` }
  }
  if (kind === 'zones') {
    const files = text.split(/^# zones\/(?=\S+\.yaml$)/m).slice(1)
    return Object.fromEntries(
      files.map((file) => [file.slice(0, file.indexOf('\n')), file.slice(file.indexOf('\n') + 1)]),
    )
  }
  const zone = kind === 'defaults.yaml' ? 'www: {type: A, values: [192.0.2.80]}\n' : NS
  const zones = kind === 'defaults.yaml' ? { 'example.org.yaml': zone, 'internal.example.yaml': zone } : {}
  // without NS at their apex, zones have those of the block, or these
  const defaults =
    kind === 'defaults.yaml' && !text.includes('ns:') ? { [kind]: `ns: [ns1.example.net.]\n${text}` } : { [kind]: text }
  return { ...common, 'example.com.yaml': zone, ...zones, ...defaults }
}

async function problemsOf({ mark, text }: Block): Promise<readonly Problem[]> {
  if (mark !== 'meridian.yaml') return (await load(zonesWith(mark, text))).problems
  const file = join(writeZones({ [mark]: text }, emptyFolder()), mark)
  return loadSettings({ file, env: {}, flags: [] }).problems
}

const wrong = (mark: string, text: string): Block => ({ file: '', language: 'yaml', mark, text, line: 1 })

test('each block says what reads it', () => {
  expect(blocks.length).toBeGreaterThan(20)
  const kinds = /^(?:(?:meridian|services|defaults|drills)\.yaml|zone|service|zones|elsewhere: \S.+)$/
  for (const block of blocks) expect(block.mark, whereOf(block)).toMatch(kinds)
})

describe('is read without an error', () => {
  const own = blocks.filter(({ mark }) => !mark.startsWith('elsewhere'))
  test.each(own.map((block) => [whereOf(block), block] as const))('%s', async (_, block) => {
    const errors = (await problemsOf(block)).filter(({ severity }) => severity === 'error')
    expect(errors.map(formatProblem)).toEqual([])
  })

  test('but for what is wrong', async () => {
    for (const [mark, text] of [
      ['meridian.yaml', 'threats: 2\n'],
      ['services.yaml', 'web: {sites: {nowhere: {vips: [192.0.2.1]}}, check: none}\n'],
      ['defaults.yaml', 'sao: {serial: 1}\n'],
      ['drills.yaml', 'drills: {x: {site: nowhere}}\n'],
      ['zone', 'www: {type: A, values: [192.0.2.300]}\n'],
      ['service', 'rules: [{order: [nowhere]}]\n'],
      ['zones', '# zones/example.com.yaml\nwww: {type: NOSUCH}\n'],
    ] as const)
      expect((await problemsOf(wrong(mark, text))).length, mark).toBeGreaterThan(0)
  })
})

/** All scenes of the lab (test/lab), one after the other, in one lab; and that docs/lab.md has them. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LAB_DOCS, MARK } from '../lab/docs.ts'
import { Lab } from '../lab/lab.ts'
import { play, SCENES } from '../lab/scenes.ts'
import { whyNoNamespaces } from '../support/namespaces.ts'

const why = whyNoNamespaces()

describe.skipIf(why !== undefined)(
  `the lab${why === undefined ? '' : `, which needs network namespaces: ${why}`}`,
  () => {
    let lab: Lab
    beforeAll(async () => {
      lab = new Lab({ load: 300 }) // other tests run beside it
      await lab.start()
    }, 400_000)
    afterAll(() => lab?.close())

    test.each(SCENES)(
      '$name: $title',
      async (scene) => {
        expect(await play(lab, scene)).toContain('| s | eu | us | ap | what happens |')
      },
      600_000,
    )
  },
)

/** Titles, commands and the heads of tables. */
const shapeOf = (text: string): string[] => text.split('\n').filter((line) => /^(?:## |`npm|\| s )/.test(line))

test('docs/lab.md has the scenes, as they are printed', () => {
  const [, printed = ''] = readFileSync(LAB_DOCS, 'utf8').split(MARK)
  const scenes = SCENES.flatMap(({ name, title }) => [
    `## ${title}`,
    `\`npm run lab -- ${name}\``,
    '| s | eu | us | ap | what happens |',
  ])
  expect(shapeOf(printed)).toEqual(scenes)
})

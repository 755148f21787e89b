/** All scenes, in the order in which they are played. */
import type { Lab } from './lab.ts'
import { FILE_SCENES } from './scenes-files.ts'
import { LAST_SCENES, NODE_SCENES } from './scenes-nodes.ts'
import { SITE_SCENES } from './scenes-sites.ts'
import { type Scene, Stage } from './stage.ts'

export const SCENES: readonly Scene[] = [...SITE_SCENES, ...FILE_SCENES, ...NODE_SCENES, ...LAST_SCENES]

/** Plays a scene; returns it in Markdown. Throws, with the table so far, if something is not as claimed. */
export async function play(lab: Lab, { title, name, play: act }: Scene): Promise<string> {
  const stage = new Stage(lab)
  const heading = `## ${title}\n\n\`npm run lab -- ${name}\`\n`
  try {
    await act(lab, stage)
  } catch (error) {
    const table = await stage.table().catch(String)
    const said = error instanceof Error ? error.message : String(error)
    throw new Error(`${heading}\n${table}\n\nNOT AS CLAIMED: ${said}\n${lab.describe()}`, { cause: error })
  }
  const claims = stage.claims.map((claim) => `- ${claim}`).join('\n')
  return `${heading}\n${await stage.table()}\n\n${claims}\n`
}

/** Scenes of what operators put in place: commits that git brings, databases. */
import assert from 'node:assert/strict'
import { commit, git, writeFiles } from '../support/repository.ts'
import type { Lab } from './lab.ts'
import { address, type Region, REGIONS, ZONE } from './plan.ts'
import { ZONES } from './settings.ts'
import { assertNobodyMoved, assertNoneFailed, leadIn, type Scene, type Stage } from './stage.ts'

/** Returns the hash of the commit. */
function push(lab: Lab, files: Readonly<Record<string, string>>, message: string): string {
  writeFiles(lab.work, files)
  const hash = commit(lab.work, Math.floor(Date.now() / 1_000), message)
  git(lab.work, 'push', '-q', 'origin', 'main')
  return hash
}

const statuses = (lab: Lab) => Promise.all(REGIONS.map((region) => lab.status(region)))

async function untilAll(
  stage: Stage,
  lab: Lab,
  what: string,
  isSo: (status: Awaited<ReturnType<typeof statuses>>[number]) => unknown,
): Promise<void> {
  await stage.until(what, async () => (await statuses(lab)).every((status) => Boolean(isSo(status))))
}

const problems = (status: Awaited<ReturnType<typeof statuses>>[number]): string[] =>
  (status?.load?.problems ?? []).map(({ code }) => code)

/** A problem in words, as status has it. */
const problemOf = (status: Awaited<ReturnType<typeof statuses>>[number], code: string): string => {
  const found = status!.load!.problems.find((problem) => problem.code === code)!
  return `${code}: ${found.message}`
}

/** What the region's resolver says of a name. */
const askResolver = (lab: Lab, region: Region, name: string): string =>
  lab.network.run(`${region}-client`, 'dig', `@${address(region, 'resolver').v4}`, '+short', name, 'A').trim()

const commits: Scene = {
  name: 'commits',
  title: 'A wrong commit is pushed and refused; a right one reaches all nodes',
  async play(lab, stage) {
    const before = (await lab.status('eu'))!.world!.commit
    await leadIn(stage)
    const broken = ZONES['services.yaml']!.replace('sin: {vips:', 'sin: {vip:')
    const wrong = push(lab, { 'services.yaml': broken }, 'Move sin')
    stage.note('a commit with a wrong key is pushed')
    await untilAll(stage, lab, 'all refuse it', (status) => status?.load?.ok === false)
    stage.note('all nodes refuse it')
    for (const status of await statuses(lab)) {
      assert.equal(status!.world!.commit, before, 'the zones before are served')
      assert(wrong.startsWith(status!.load!.revision!), 'status names the commit')
    }
    stage.claim(problemOf(await lab.status('eu'), 'key-unknown'))
    await stage.pass(2)
    const names = `${ZONES[`${ZONE}.yaml`]}new: {type: A, values: [192.0.2.80]}\n`
    const right = push(lab, { ...ZONES, [`${ZONE}.yaml`]: names }, 'Add a name')
    const pushedMs = stage.note('a right commit with a new name is pushed')
    await untilAll(stage, lab, 'all serve it', (status) => status?.world?.commit === right)
    const servedMs = stage.note('all nodes serve it')
    stage.claim(`from the push to all nodes: ${((servedMs - pushedMs) / 1_000).toFixed(1)} s`)
    for (const region of REGIONS) assert.equal(askResolver(lab, region, `new.${ZONE}`), '192.0.2.80')
    stage.claim('its name is answered by the resolvers of all regions')
    await lab.calm()
    const seen = await stage.seen()
    assertNoneFailed(stage, seen)
    assertNobodyMoved(seen)
  },
}

const databaseHeld: Scene = {
  name: 'database-held',
  title: 'A damaged database is refused, and one that moves too many clients is held',
  async play(lab, stage) {
    await leadIn(stage)
    const good = lab.encodeDatabase()
    stage.note('a damaged database is put in place, in all regions')
    for (const region of REGIONS) lab.putDatabase(region, good.subarray(0, good.length / 2))
    await untilAll(stage, lab, 'all refuse it', (status) => status?.load?.ok === false)
    stage.note('all nodes refuse it')
    stage.claim(`problems: ${[...new Set((await statuses(lab)).flatMap(problems))].join(', ')}`)
    await stage.pass(2)
    stage.note('one that has the clients of eu in ap is put in place')
    for (const region of REGIONS) lab.putDatabase(region, lab.encodeDatabase({ eu: 'ap', us: 'us', ap: 'eu' }))
    await untilAll(stage, lab, 'all hold it', (status) => problems(status).includes('geo-held'))
    stage.note('all nodes hold it')
    stage.claim(problemOf(await lab.status('eu'), 'geo-held'))
    await stage.pass(2)
    stage.note('the right one is put in place')
    for (const region of REGIONS) lab.putDatabase(region)
    await untilAll(
      stage,
      lab,
      'all use it',
      (status) => status?.load?.ok === true && !problems(status).includes('geo-held'),
    )
    stage.note('nothing is held')
    await lab.calm()
    const seen = await stage.seen()
    assertNoneFailed(stage, seen)
    assertNobodyMoved(seen)
    stage.claim('clients: none moved')
  },
}

export const FILE_SCENES: readonly Scene[] = [commits, databaseHeld]

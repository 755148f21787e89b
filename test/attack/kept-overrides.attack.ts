/** An override that was answered as done outlives the process, whatever ends it; on a full disk the answer says that it would not. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { OverrideResult } from '../../src/api/override.ts'
import { post } from '../../src/cli/control.ts'
import { type NodeProcess, Scene } from '../support/scene.ts'
import { type Attack, isRoot } from './attack.ts'

const ROUNDS = 15

const ask = (state: string, action: string): Promise<OverrideResult> =>
  post<OverrideResult>({ state }, '/api/overrides', { pattern: 'fra', action, who: 'ann', why: 'works', yes: true })

async function standing(node: NodeProcess): Promise<readonly string[]> {
  return (await node.status())!.overrides.map(({ override }) => `${override.pattern} ${override.action}`)
}

/** SIGKILL in the moment of the answer; what is on disk then, without the time that a start takes. */
async function killedOnce(scene: Scene): Promise<void> {
  const node = await scene.startReady()
  const { notKept } = await ask(scene.state, 'drain')
  node.kill('SIGKILL')
  if (notKept.length > 0) throw new Error(`not kept: ${JSON.stringify(notKept)}`)
  await node.ended
  if (!readFileSync(`${scene.state}/overrides.json`, 'utf8').includes('"drain"')) throw new Error('drain was lost')
}

/** The same again and again; what the next process knows. */
async function killed(scene: Scene, rounds: number): Promise<void> {
  let node = await scene.startReady()
  for (let round = 0; round < rounds; round++) {
    const action = round % 2 === 0 ? 'drain' : 'undrain'
    const { notKept } = await ask(scene.state, action)
    node.kill('SIGKILL')
    if (notKept.length > 0) throw new Error(`not kept: ${JSON.stringify(notKept)}`)
    await node.ended
    node = await scene.startReady()
    const found = (await standing(node)).join()
    if (found !== (action === 'drain' ? 'fra drain' : ''))
      throw new Error(`round ${round}: ${action} was lost: “${found}”`)
  }
  node.kill('SIGKILL')
  await node.ended
}

/** A state folder on a disk of 1 MB that is full. */
async function full(scene: Scene): Promise<string> {
  const state = `${scene.folder}/small`
  mkdirSync(state)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', state])
  try {
    const node = await scene.startReady({ state })
    try {
      writeFileSync(`${state}/filler`, Buffer.alloc(1 << 20))
    } catch {
      // as much as there was room for
    }
    const { notKept } = await ask(state, 'drain')
    node.kill('SIGKILL')
    await node.ended
    const [lack] = notKept
    if (lack?.where !== 'disk') throw new Error('a full disk was not told')
    return lack.why
  } finally {
    execFileSync('umount', ['-l', state])
  }
}

export const attack: Attack = {
  tries: 'SIGKILL in the moment in which an override is answered, and a disk that is full',
  run: async (scale, print) => {
    const scene = new Scene()
    try {
      if (scale === 'smoke') return await killedOnce(scene)
      await killed(scene, ROUNDS)
      print(`${ROUNDS} of ${ROUNDS} overrides were there after SIGKILL`)
      if (isRoot()) print(`on a full disk: ${await full(scene)}`)
    } finally {
      await scene.close()
    }
  },
}

/** What somebody may try who has the lab to play in. */
import type { Lab } from './lab.ts'
import { address, ANYCAST, REDIS, ZONE } from './plan.ts'

/** Commands, ready to be copied. */
export function whatToTry(lab: Lab): string {
  const on = (host: string): string => lab.network.on(host).join(' ')
  const meridian = `node src/main.ts`
  return `
The lab stays up until Ctrl-C. All of it is below ${lab.folder}; a host is a namespace. For instance:

what clients see     ${on('eu-client')} dig @${address('eu', 'resolver').v4} www.example A
                     ${on('us-client')} dig @${ANYCAST.v4} +nsid www.${ZONE} A
what a node knows    ${meridian} status --all --state ${lab.state('eu')}
why an answer        ${meridian} explain www.${ZONE} --client 198.18.103.10 --state ${lab.state('eu')}
drain a site         ${meridian} drain fra --for 5m --why test --state ${lab.state('eu')}
a site dies          kill -9 ${lab.daemon('eu-lb1').pid}
a node hangs         kill -STOP ${lab.node('us').pid}; sleep 20; kill -CONT ${lab.node('us').pid}
a node ends          kill -TERM ${lab.node('ap').pid}
                     ${on('ap-node')} ${meridian} serve -c ${lab.settings('ap')}
routes at a router   ${on('us-router')} ip route show ${ANYCAST.net4}
                     ${on('us-router')} birdc -s ${lab.folder}/us-router/bird.ctl show route all for ${ANYCAST.net4}
cut ap off           ip -n ${lab.network.spaceOf('ap-router')} link set to-eu down
                     ip -n ${lab.network.spaceOf('ap-router')} link set to-us down
us without Redis     ip -n ${lab.network.spaceOf('us-router')} rule add to ${REDIS.v4} blackhole
change the zones     cd ${lab.work} && $EDITOR services.yaml && git commit -am test && git push origin main
`
}

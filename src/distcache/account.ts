import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync } from 'node:fs';

/** A user of the system. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  /** The user's own group. */
  readonly gid: number;
}

/** The user of that name or number. Throws when there is none. */
export function findUser(name: string): Account {
  const [found = '', , uid, gid] = systemEntry('passwd', name);
  return { name: found, uid: Number(uid), gid: Number(gid) };
}

/** The number of the group of that name or number. Throws when there is none. */
export function findGroup(name: string): number {
  const [, , gid] = systemEntry('group', name);
  return Number(gid);
}

/** Node has no getpwnam; getent asks whatever the system keeps its users in. */
function systemEntry(database: 'passwd' | 'group', name: string): string[] {
  try {
    const line = execFileSync('getent', [database, '--', name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return line.trim().split(':');
  } catch (cause) {
    throw new Error(`there is no ${name} in the system's ${database} database`, { cause });
  }
}

/** Becomes the user with the user's groups and no others, for good. Throws when the process may not. */
export function becomeUser(name: string): void {
  const { setgroups, setgid, setuid } = process;
  if (setgroups === undefined || setgid === undefined || setuid === undefined) {
    throw new Error('this system has no users to become');
  }
  const account = findUser(name);
  // in this order: without root the groups can not be changed any more
  setgroups(groupsOf(account.name));
  setgid(account.gid);
  setuid(account.uid);
}

/** The groups of a user, the user's own among them. */
function groupsOf(name: string): number[] {
  return execFileSync('id', ['-G', '--', name], { encoding: 'utf8' }).trim().split(' ').map(Number);
}

export interface SocketAccess {
  /** The user's own group goes with it, unless there is a `group`. */
  readonly owner?: string | undefined;
  readonly group?: string | undefined;
  /** Permission bits. */
  readonly mode?: number | undefined;
}

/** Gives the socket at `path` its owner, group and permissions. Gives a warning for what was not possible. */
export function setSocketAccess(path: string, { owner, group, mode }: SocketAccess): string[] {
  const warnings: string[] = [];
  try {
    if (owner !== undefined || group !== undefined) changeOwner(path, owner, group);
  } catch {
    const whose = `user '${owner ?? ''}' and group '${group ?? ''}'`;
    warnings.push(`Warning, can't set socket ownership to ${whose}, continuing anyway`);
  }
  try {
    if (mode !== undefined) chmodSync(path, mode);
  } catch {
    warnings.push(`Warning, can't set socket permissions to '${mode?.toString(8)}', continuing anyway`);
  }
  return warnings;
}

/** chown's word for "as it is". */
const UNCHANGED = -1;

function changeOwner(path: string, owner: string | undefined, group: string | undefined): void {
  const user = owner === undefined ? undefined : findUser(owner);
  const gid = group === undefined ? user?.gid : findGroup(group);
  chownSync(path, user?.uid ?? UNCHANGED, gid ?? UNCHANGED);
}

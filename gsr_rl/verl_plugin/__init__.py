"""What plugs into verl (0.9.1, V1 trainer) from outside: agent loop, worker, trainer, loss, sync guard.

Modules import verl at their top here and in `gsr_rl.cpu` alone. The stages (`gsr_rl.stages`) import verl and this
package inside functions, so a command that does not train starts without them.
"""

# Instead of a new image a machine that is there already, over ssh: to see that a bake would go well, without AWS.

variable "machine" {
  type        = string
  default     = "127.0.0.1"
  description = "Its address."
}

variable "user" {
  type        = string
  default     = "debian"
  description = "Who logs in there, and may use sudo without a password."
}

variable "key" {
  type        = string
  default     = ""
  description = "The file with that user's private key; empty: the agent's keys."
}

source "null" "machine" {
  ssh_host             = var.machine
  ssh_username         = var.user
  ssh_private_key_file = var.key
  ssh_agent_auth       = var.key == ""
}

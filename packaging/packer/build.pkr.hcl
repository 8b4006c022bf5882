# spot-guard in an image: installed, with its settings and hooks, enabled, and looked at. Into a template of your own
# copy the provisioners and the variables, with `install` and `files` beside it.

variable "package" {
  type        = string
  description = "The package, for the image that is made: .deb, .rpm or .tar.gz."
}

variable "files" {
  type        = string
  default     = ""
  description = "A folder that is laid over the machine's root: settings, hooks, what they need; empty: files, beside this."
}

variable "commands" {
  type        = list(string)
  default     = []
  description = "Run before the last look: what links hooks that come with spot-guard, for example."
}

build {
  sources = ["source.amazon-ebs.eks-al2023", "source.amazon-ebs.ubuntu", "source.null.machine"]

  provisioner "shell" {
    inline = ["rm -rf /tmp/spot-guard", "mkdir -m 700 /tmp/spot-guard"]
  }
  provisioner "file" {
    source      = var.package
    destination = "/tmp/spot-guard/${basename(var.package)}"
  }
  provisioner "file" {
    source      = var.files == "" ? "${path.root}/files" : var.files
    destination = "/tmp/spot-guard/files"
  }
  provisioner "shell" {
    execute_command = "sudo sh -eu '{{ .Path }}' '/tmp/spot-guard/${basename(var.package)}' /tmp/spot-guard/files"
    script          = "${path.root}/install"
  }
  # What would not work on a machine that is made of this image fails here.
  provisioner "shell" {
    inline = concat(var.commands, ["sudo spot-guard check --image"])
  }
}

//! Mail into files: one `.eml` a message, named by its job, so that sending again overwrites.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::mail::message::Composed;
use crate::mail::outbox::SendError;

/// The folder.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
}

impl Files {
    /// Makes the folder where it is missing.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| {
            format!("cannot make the folder {}; set mail.dir to one that can be", dir.display())
        })?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Puts the message there. Whoever lists the folder sees whole messages only.
    pub(crate) async fn put(&self, message: &Composed) -> Result<(), SendError> {
        let hidden = self.dir.join(format!(".{}.part", message.job_id));
        let file = self.dir.join(format!("{}.eml", message.job_id));
        let put = async {
            tokio::fs::write(&hidden, message.email.formatted()).await?;
            tokio::fs::rename(&hidden, &file).await
        };
        put.await.map_err(|error| SendError::Later(format!("{}: {error}", file.display())))
    }
}

#[cfg(test)]
mod tests {
    use domain::id::JobId;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn sending_again_overwrites() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(&dir.path().join("a/b")).unwrap();
        let email = lettre::Message::builder()
            .from("a@example.com".parse().unwrap())
            .to("b@example.com".parse().unwrap())
            .body(String::from("text"))
            .unwrap();
        let message = Composed { job_id: JobId::from_uuid(Uuid::from_u128(1)), email };
        files.put(&message).await.unwrap();
        files.put(&message).await.unwrap();
        let names: Vec<_> = std::fs::read_dir(dir.path().join("a/b"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["job_00000000000000000000000001.eml"]);
    }
}
